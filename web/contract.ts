/**
 * The data that the proxy (`src/dashboard`) sends to its pages (`web/`). Types only, without imports. The server picks
 * every field by hand and never sends a whole snapshot.
 *
 * Times are milliseconds since the Unix epoch by the proxy's clock (see `Hello.now`), durations are milliseconds,
 * text lengths are characters. A field that is missing in a patch has not changed.
 *
 * Transport: socket.io at `/socket.io/` of the page's own origin, WebSocket only (`transports: ['websocket']`).
 * `src/admin/access` authorizes the request before a socket exists.
 *
 * Sequence: after a connection the server sends `hello`, then full `conversations`, `totals`, `history` and `log`, then
 * patches with the changes, at most ten a second. A page that reads too slowly gets a full one instead of a backlog.
 */

/** Version of this contract. A page that was built for another one reloads itself. */
export type ContractVersion = 2;

/** The four phases of a conversation (`machines/phases.ts`). */
export type Phase = 'IDLE' | 'CHECKPOINTING' | 'WAL_ACTIVE' | 'SWAP_READY';

/** Why a compaction went to the API (`machines/conversation-events.ts`). */
export type KnownForwardReason =
  | 'passthrough'
  | 'no_checkpoint'
  | 'instructions'
  | 'stale'
  | 'wait_timeout'
  | 'checkpoint_failed'
  | 'loop'
  | 'unreadable';
/** A known reason, or one that another version of the proxy added. */
export type ForwardReason = KnownForwardReason | (string & {});

/** Why a checkpoint call returned no summary (`machines/conversation-events.ts`). */
export type CallFailureKind = 'transient' | 'rejected' | 'too_long' | 'unusable' | 'skipped';

/** Sent once per connection, first. */
export interface Hello {
  readonly contract: ContractVersion;
  /** Version of the proxy. */
  readonly version: string;
  /** When the proxy was started; another value after a reconnection means a restart. */
  readonly started: number;
  /** The proxy's current time. */
  readonly now: number;
  /** `DBPROXY_PASSTHROUGH`: nothing is computed or served. */
  readonly passthrough: boolean;
  /** Shares of the effective window, in (0, 1). */
  readonly thresholds: Thresholds;
  /** The settings of a client, shown while there are no conversations. */
  readonly setup: {
    /** e.g. `http://127.0.0.1:8080` */
    readonly proxyUrl: string;
    /** Path of the CA certificate. */
    readonly caPath: string;
  };
}

export interface Thresholds {
  readonly checkpoint: number;
  readonly swap: number;
}

// ── conversations ────────────────────────────────────────────────────────────────────────────────────────────────────

/** A recognizable name and its source. */
export interface ConversationName {
  /** The last part of the project folder, else the first words of the first message, else the id (80 characters). */
  readonly text: string;
  readonly from: 'folder' | 'words' | 'id';
  /** The path of the project folder, where the client sent it. */
  readonly folder: string | null;
  /** The first words of the first user message, at most 120 characters. Distinguishes conversations of one folder. */
  readonly words: string | null;
}

/** The checkpoint call in the background. */
export interface CheckpointCallView {
  /** `waiting`: failed, retried at `retryAt`; `given_up`: not retried until the history changes. */
  readonly state: 'idle' | 'running' | 'waiting' | 'given_up';
  /** Attempts since the threshold was crossed. */
  readonly tries: number;
  readonly maxTries: number;
  /** When the running call started. */
  readonly startedAt: number | null;
  /** When the next attempt starts, while waiting. */
  readonly retryAt: number | null;
  /** The last failure since the last success. */
  readonly failure: {
    readonly kind: CallFailureKind;
    readonly message: string;
  } | null;
}

/** One conversation in the list. */
export interface ConversationView {
  readonly id: string;
  readonly name: ConversationName;
  readonly kind: 'main' | 'subagent';
  /** The id of a subagent's main conversation, where it is known. */
  readonly parent: string | null;
  /** Null until the first answer has ended. */
  readonly model: string | null;
  readonly phase: Phase;
  /** When the phase started. */
  readonly phaseSince: number;
  readonly call: CheckpointCallView;
  /** Tokens of context in use; 0 while unknown. */
  readonly used: number;
  /** The context window that the client assumes, in tokens; 0 while unknown. Thresholds are shares of it. */
  readonly effectiveWindow: number;
  /** The two thresholds and the client's own compaction point, in tokens; null while the window is unknown. */
  readonly marks: { readonly checkpoint: number; readonly swap: number; readonly client: number } | null;
  /** Messages in the history as of the last request. */
  readonly messages: number;
  /** Messages that the servable checkpoint summarizes; null without one. */
  readonly covered: number | null;
  readonly created: number;
  readonly lastActivity: number;
  readonly counters: {
    readonly checkpoints: number;
    readonly failures: number;
    readonly served: number;
    /** Served and accepted by the client. */
    readonly confirmed: number;
    readonly forwarded: number;
  };
}

/** The changed fields of a conversation. Objects in it are complete. */
export type ConversationChange = Pick<ConversationView, 'id'> & Partial<Omit<ConversationView, 'id'>>;

export type ConversationsPatch =
  /** Replaces all conversations of the page. */
  | { readonly full: true; readonly conversations: readonly ConversationView[] }
  /** The change of a conversation that is new to the page has all fields. */
  | { readonly full: false; readonly changed: readonly ConversationChange[]; readonly removed: readonly string[] };

// ── across all ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Tokens of checkpoint calls by kind, as the API bills them. */
export interface TokenCounts {
  /** Neither read from nor written to the prompt cache. */
  readonly input: number;
  /** Written to the prompt cache. */
  readonly cacheCreation: number;
  readonly cacheRead: number;
  readonly output: number;
}

/** Totals over all conversations. Always complete. */
export interface Totals {
  /** When counting started. */
  readonly since: number;
  /** Conversations tracked now, by phase. */
  readonly conversations: Readonly<Record<Phase, number>>;
  /** `POST /v1/messages` requests. */
  readonly requests: number;
  /** Time that clients did not have to wait for a summary. */
  readonly savedMs: number;
  readonly checkpoints: {
    readonly made: number;
    /** Served at least once. */
    readonly used: number;
    /** Discarded without having been served. */
    readonly wasted: number;
    readonly failed: number;
    /** Running calls. */
    readonly running: number;
    /** Servable checkpoints. */
    readonly held: number;
    /** Set while the circuit breaker is open; `until`: the next attempt, null: it is running. */
    readonly paused?: { readonly until: number | null };
  };
  readonly compactions: {
    readonly served: number;
    readonly confirmed: number;
    /** By reason; reasons that never occurred are missing. */
    readonly forwarded: Readonly<Partial<Record<ForwardReason, number>>>;
  };
  readonly tokens: TokenCounts;
  /** Statuses of 400 and above that the API answered to message requests, and failed connections; latest first. */
  readonly apiErrors: readonly ApiErrorCount[];
}

export interface ApiErrorCount {
  /** HTTP status; 0: the API was unreachable, or the connection was lost. */
  readonly status: number;
  readonly count: number;
  readonly last: number;
}

/** Totals of one interval. */
export interface HistoryBucket {
  /** The start of the interval. */
  readonly at: number;
  readonly requests: number;
  readonly savedMs: number;
  readonly made: number;
  readonly used: number;
  readonly wasted: number;
  readonly failed: number;
  readonly served: number;
  readonly forwarded: number;
  readonly tokens: TokenCounts;
  /** By status, as in {@link ApiErrorCount}. */
  readonly apiErrors: Readonly<Record<string, number>>;
}

/** Buckets, oldest first, without empty ones. In a patch they replace those of the same `at`. */
export interface HistoryPatch {
  readonly full: boolean;
  /** Length of a bucket. */
  readonly bucketMs: number;
  /** Older buckets are dropped. */
  readonly from: number;
  readonly buckets: readonly HistoryBucket[];
}

// ── event log ────────────────────────────────────────────────────────────────────────────────────────────────────────

export type LogValue = string | number | boolean | null | readonly string[];

/** One line of the structured log, INFO and above. No message text, no credentials. */
export interface LogEntry {
  /** Incremented with each entry of the process. A gap means dropped entries. */
  readonly seq: number;
  readonly at: number;
  readonly level: 'info' | 'warn' | 'error';
  /** Dot.case, e.g. `phase.changed`, `checkpoint.completed`, `compaction.served`, `api.error`. */
  readonly event: string;
  /** The conversation concerned, or null. */
  readonly conversation: string | null;
  readonly fields: Readonly<Record<string, LogValue>>;
}

/** Entries, oldest first. `full`: all kept by the server (the last 1,000). */
export interface LogPatch {
  readonly full: boolean;
  readonly entries: readonly LogEntry[];
}

// ── one conversation ─────────────────────────────────────────────────────────────────────────────────────────────────

export interface PhaseChange {
  readonly at: number;
  readonly phase: Phase;
}

/** The context in use after an answer. */
export interface TokenSample {
  readonly at: number;
  readonly used: number;
  readonly effectiveWindow: number;
}

/** A mark in the chart of tokens. */
export interface SeriesMark {
  readonly at: number;
  /**
   * `checkpoint`: a checkpoint was completed; `failed`: a call failed; `swap`: a compaction was served by the proxy;
   * `compaction`: by the API; `replaced`: the conversation continued from a summary; `reset`: manually.
   */
  readonly kind: 'checkpoint' | 'failed' | 'swap' | 'compaction' | 'replaced' | 'reset';
  /** Tokens in use then. */
  readonly used: number;
}

/** A part of a message. */
export interface BlockView {
  readonly type: 'text' | 'thinking' | 'tool_use' | 'tool_result' | 'image' | 'document' | 'other';
  /** Text, the JSON of a tool's input, or the text of its result. Cut at 20,000 characters. '' where there is none. */
  readonly text: string;
  /** The full length. Larger than `text.length` when the text was cut. */
  readonly chars: number;
  /** The tool of a call, and of a result where known; the type of an `other` block; else null. */
  readonly name: string | null;
  /** Whether a tool's result is an error. */
  readonly failed: boolean;
}

export interface MessageView {
  /** Index in the history. Messages below `ConversationView.covered` are summarized, later ones write-ahead. */
  readonly index: number;
  readonly role: 'user' | 'assistant' | 'system' | (string & {});
  readonly blocks: readonly BlockView[];
}

/**
 * The messages as of the last request. They are kept only while a page shows the conversation, so that a page receives
 * them from the conversation's next request on.
 */
export type MessagesView =
  | { readonly state: 'waiting' }
  | {
      readonly state: 'shown';
      /** The time of the request. */
      readonly at: number;
      /** Messages in the history; those before the first of `messages` are omitted because of their size. */
      readonly total: number;
      readonly messages: readonly MessageView[];
    };

/** The servable checkpoint. */
export interface CheckpointView {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Markdown, as the model wrote it. */
  readonly summary: string;
  /** Messages that it summarizes. */
  readonly covered: number;
  /** The duration of the call. */
  readonly durationMs: number;
  readonly tokens: TokenCounts;
  /** The conversation that it was computed for if that is another one (after a fork or a resume); else null. */
  readonly computedFor: string | null;
}

/** The last compaction that the proxy served. */
export interface SwapView {
  readonly at: number;
  readonly checkpoint: string;
  readonly messagesBefore: number;
  readonly usedBefore: number;
  readonly summaryChars: number;
  readonly recentMessages: number;
  readonly recentChars: number;
  /** Tokens in use after the next answer; null until then. */
  readonly usedAfter: number | null;
  /** Whether the client accepted it; null until its next request. */
  readonly taken: boolean | null;
  readonly waitedMs: number;
  readonly savedMs: number;
}

/** What the page of a conversation shows besides its {@link ConversationView}. */
export interface ConversationDetail {
  readonly id: string;
  /** Oldest first, the last 200. */
  readonly phases: readonly PhaseChange[];
  /** Oldest first, at most 500; a long conversation is downsampled. */
  readonly samples: readonly TokenSample[];
  /** Oldest first, the last 200. */
  readonly marks: readonly SeriesMark[];
  readonly messages: MessagesView;
  readonly checkpoint: CheckpointView | null;
  readonly lastSwap: SwapView | null;
}

/** The changed fields of a detail, each complete. */
export type DetailPatch = Pick<ConversationDetail, 'id'> & Partial<Omit<ConversationDetail, 'id'>>;

// ── inspector ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** An actor of the running system. */
export interface ActorView {
  /** XState's session id, unique in this process: `x:4`. */
  readonly session: string;
  /** Id among its parent's children: `conversation:…`, `forwarder`, `computeCheckpoint` … */
  readonly id: string;
  /** The parent's session; null for the supervisor and other actors without a parent. */
  readonly parent: string | null;
  /** Key into `machines` for an actor with a statechart, else null. */
  readonly machine: string | null;
  readonly kind: 'machine' | 'promise' | 'callback' | 'other';
  readonly status: 'active' | 'done' | 'error' | 'stopped';
  /** Ids of the active state nodes, outermost first (nodes of its machine's graph); [] without a statechart. */
  readonly states: readonly string[];
}

/** A state node. */
export interface GraphNode {
  /** e.g. `conversation.alive.call.running`; the root's is the machine's id. */
  readonly id: string;
  /** Last part of the id. */
  readonly key: string;
  readonly parent: string | null;
  readonly type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  /** The id of a compound node's initial child; else null. */
  readonly initial: string | null;
  readonly description: string | null;
  /** Names of actions. */
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly invokes: readonly { readonly id: string; readonly src: string }[];
  /** Delays of its delayed transitions: `retryPause`, `60000 ms`. */
  readonly delays: readonly string[];
}

/** A transition. */
export interface GraphEdge {
  /** Stable for a machine. */
  readonly id: string;
  readonly source: string;
  /** The same as `source` for a transition without another target. */
  readonly target: string;
  /** The event's type, `after retryPause`, `done: computeCheckpoint` or `always`. */
  readonly label: string;
  /** XState's event type; '' for `always`. */
  readonly event: string;
  readonly kind: 'event' | 'after' | 'done' | 'error' | 'always';
  readonly guard: string | null;
  readonly actions: readonly string[];
  /** False if it only runs actions, without leaving or entering a state. */
  readonly moves: boolean;
}

/** A statechart, extracted from the machine. Parents come before their children. */
export interface MachineGraph {
  readonly id: string;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** An event of the actor system. */
export type InspectionRecord =
  /** An actor was started. */
  | { readonly kind: 'started'; readonly seq: number; readonly at: number; readonly actor: ActorView }
  /** An actor ended. */
  | {
      readonly kind: 'ended';
      readonly seq: number;
      readonly at: number;
      readonly session: string;
      readonly status: 'done' | 'error' | 'stopped';
    }
  /** An actor received an event. */
  | {
      readonly kind: 'event';
      readonly seq: number;
      readonly at: number;
      /** The sender's session; null for an external event. */
      readonly sender: string | null;
      readonly receiver: string;
      readonly type: string;
      /** Hand-picked fields of the event. */
      readonly payload: Readonly<Record<string, LogValue>>;
      readonly before: readonly string[];
      readonly after: readonly string[];
      /** Ids of the taken edges, in order; [] without a transition or a statechart. */
      readonly edges: readonly string[];
      /** Hand-picked fields of the receiver's context after the event. */
      readonly context: Readonly<Record<string, LogValue>>;
    }
  /** Omitted events of actors that the page does not watch; `seq` is the last one's. */
  | {
      readonly kind: 'left_out';
      readonly seq: number;
      readonly at: number;
      readonly events: number;
      /** Receivers whose states changed. */
      readonly moved: readonly {
        readonly session: string;
        readonly before: readonly string[];
        readonly after: readonly string[];
      }[];
    };

/** Answer to `inspector.open`. */
export interface InspectorView {
  readonly machines: Readonly<Record<string, MachineGraph>>;
  /** All current actors. */
  readonly actors: readonly ActorView[];
  /** The records that the server keeps, oldest first: the last 2,000 since an inspector was opened. */
  readonly records: readonly InspectionRecord[];
}

/** Records, oldest first. */
export interface InspectorPatch {
  readonly records: readonly InspectionRecord[];
}

/** An exported recording, which can be opened without a proxy. Another `format` or `version` is rejected. */
export interface Recording {
  readonly format: 'claude-db-proxy/recording';
  readonly version: 1;
  readonly proxy: { readonly version: string };
  /** The time of the export. */
  readonly exported: number;
  readonly machines: Readonly<Record<string, MachineGraph>>;
  /** The actors before the first record. */
  readonly actors: readonly ActorView[];
  readonly records: readonly InspectionRecord[];
}

// ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The answer to a request over the socket. */
export type Outcome<T = null> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly error: { readonly type: 'not_found' | 'invalid_request'; readonly message: string };
    };

export interface ServerToClientEvents {
  readonly hello: (hello: Hello) => void;
  readonly conversations: (patch: ConversationsPatch) => void;
  readonly totals: (totals: Totals) => void;
  readonly history: (patch: HistoryPatch) => void;
  readonly log: (patch: LogPatch) => void;
  /** Changes of the open conversation; none after its removal. */
  readonly detail: (patch: DetailPatch) => void;
  readonly inspector: (patch: InspectorPatch) => void;
}

export interface ClientToServerEvents {
  /** Opens the detail of a conversation and closes the previous one. `detail` patches follow. */
  readonly 'detail.open': (id: string, answer: (outcome: Outcome<ConversationDetail>) => void) => void;
  readonly 'detail.close': () => void;
  /** Deletes the conversation's checkpoint, cancels a running call, and clears attempts and failure. */
  readonly 'conversation.reset': (id: string, answer: (outcome: Outcome) => void) => void;
  /** Opens the inspector, or returns a new view of it. `inspector` patches follow. */
  readonly 'inspector.open': (answer: (outcome: Outcome<InspectorView>) => void) => void;
  /**
   * Sets the watched actors, initially none. The server sends all events that they receive or send and all starts and
   * ends; of other events about a hundred a second, the rest as `left_out`.
   */
  readonly 'inspector.watch': (sessions: readonly string[]) => void;
  readonly 'inspector.close': () => void;
}

// ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `GET /api/conversations`: most recently active first. */
export interface ConversationsAnswer {
  readonly conversations: readonly ConversationView[];
}

/** `GET /api/conversations/:id`. Without messages, which are kept for open pages only. */
export interface ConversationAnswer {
  readonly conversation: ConversationView;
  readonly detail: Omit<ConversationDetail, 'messages'>;
}

/** `POST /api/conversations/:id/reset`. */
export interface ResetAnswer {
  readonly conversation: ConversationView;
}

/** An answer with a status of 400 or above, in the format of the Anthropic API. */
export interface ErrorAnswer {
  readonly type: 'error';
  readonly error: { readonly type: string; readonly message: string };
}
