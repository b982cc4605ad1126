/**
 * Branded types for quantities and ids, so that the compiler rejects a mix-up.
 * A brand exists only at compile time; at run time these are plain strings and numbers.
 */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Id of a conversation, also the value of `x-double-buffer-conv-id`. It contains no secret. */
export type ConversationId = Brand<string, 'ConversationId'>;
/** Id of a checkpoint, unique within the process. */
export type CheckpointId = Brand<string, 'CheckpointId'>;
/** Number of a turn (a request of the main class and its answer), counted across the whole process. */
export type TurnId = Brand<number, 'TurnId'>;
/** A count of tokens, as the API counts them. */
export type Tokens = Brand<number, 'Tokens'>;
/** A duration. */
export type Milliseconds = Brand<number, 'Milliseconds'>;
/** A point in time, in milliseconds since the Unix epoch. */
export type Timestamp = Brand<number, 'Timestamp'>;

export const conversationId = (value: string): ConversationId => value as ConversationId;
export const checkpointId = (value: string): CheckpointId => value as CheckpointId;
export const turnId = (value: number): TurnId => value as TurnId;
export const tokens = (value: number): Tokens => value as Tokens;
export const milliseconds = (value: number): Milliseconds => value as Milliseconds;
export const timestamp = (value: number): Timestamp => value as Timestamp;
