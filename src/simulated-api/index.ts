/** The simulated Anthropic API: everything that its users import. */
export { startSimulatedApi, type SimulatedApi, type SimulatedApiOptions } from './server.ts';
export { summaryMarker, summaryText, type Call, type Responder } from './scripted-answers.ts';
export {
  type Answer,
  type AnswerBlock,
  type BreakingFault,
  type Fault,
  type ModifyingFault,
  type RawAnswer,
  type Speed,
} from './behaviour.ts';
export { type FaultHandle, type FaultOptions, type RequestFilter } from './faults.ts';
export { DEFAULT_MODELS, type SimulatedModel } from './models.ts';
export { type Outcome, type RecordedRequest, type Recording, type RequestKind } from './recorder.ts';
export { promptTokensOf, type Block, type Message, type MessagesRequest, type Usage } from './wire-types.ts';
