/**
 * Precise types for the quantities and names that must not be mixed up.
 * A brand exists only for the compiler; at run time these are plain strings and numbers.
 */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Name of one conversation: what `x-double-buffer-conv-id` shows. Holds nothing secret. */
export type ConversationId = Brand<string, 'ConversationId'>;
/** Name of one checkpoint, unique for the life of the process. */
export type CheckpointId = Brand<string, 'CheckpointId'>;
/** Number of a turn (one request of the main class and its answer), rising by one over the whole process. */
export type TurnId = Brand<number, 'TurnId'>;
/** A count of tokens, as the API counts them. */
export type Tokens = Brand<number, 'Tokens'>;
/** A duration. */
export type Milliseconds = Brand<number, 'Milliseconds'>;
/** A moment, in milliseconds since the Unix epoch. */
export type Timestamp = Brand<number, 'Timestamp'>;

export const conversationId = (value: string): ConversationId => value as ConversationId;
export const checkpointId = (value: string): CheckpointId => value as CheckpointId;
export const turnId = (value: number): TurnId => value as TurnId;
export const tokens = (value: number): Tokens => value as Tokens;
export const milliseconds = (value: number): Milliseconds => value as Milliseconds;
export const timestamp = (value: number): Timestamp => value as Timestamp;
