/**
 * Fails to compile when an enum of the contract with the pages, which may import nothing, differs from the machines'.
 * Types only.
 */
import type { CallFailureKind, ForwardReason } from '../../machines/conversation-events.ts';
import type { Phase } from '../../machines/phases.ts';
import type * as contract from '../../web/contract.ts';

/** True for two unions of the same members. */
type Equal<A, B> = [A, B] extends [B, A] ? true : false;
type AllTrue<Checks extends readonly true[]> = Checks;

export type ContractEnums = AllTrue<
  [
    Equal<Phase, contract.Phase>,
    Equal<CallFailureKind, contract.CallFailureKind>,
    Equal<ForwardReason, contract.KnownForwardReason>,
  ]
>;
