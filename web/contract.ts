/**
 * What goes between the proxy and its pages, typed once and used by both sides: `src/dashboard` sends it, `web/` draws
 * it. Types only, no imports, no code. Every field is picked by hand on the server; a snapshot never leaves it.
 *
 * Times are milliseconds since the Unix epoch by the proxy's clock (see `Hello.now`), durations are milliseconds,
 * lengths of texts are characters. An optional field of a patch that is missing has not changed.
 *
 * Transport: socket.io at `/socket.io/` of the page's own origin, WebSocket only (`transports: ['websocket']`).
 * Who may connect, `src/access` decides before a socket exists.
 *
 * Rhythm: after a connection the server sends `hello`, then full `conversations`, `totals`, `history` and `log`, and
 * from then on patches, at most ten a second, with only what changed. A page that reads too slowly gets no backlog: what
 * it missed is made good by another full one.
 */

/** Version of this contract. A page that was built for another one reloads itself. */
export type ContractVersion = 2;

/** The four phases that people see (`machines/phases.ts`). */
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
/** Also one that another version of the proxy knows: it is shown as it is. */
export type ForwardReason = KnownForwardReason | (string & {});

/** Why a checkpoint call brought no summary (`machines/conversation-events.ts`). */
export type CallFailureKind = 'transient' | 'rejected' | 'too_long' | 'unusable' | 'skipped';

/** Sent once per connection, first. */
export interface Hello {
  readonly contract: ContractVersion;
  /** Version of the proxy. */
  readonly version: string;
  /** When this proxy was started; another value after a reconnection means that it was restarted. */
  readonly started: number;
  /** The proxy's clock now, for ages. */
  readonly now: number;
  /** `DBPROXY_PASSTHROUGH`: nothing is computed or served. */
  readonly passthrough: boolean;
  /** Shares of the effective window, in (0, 1). */
  readonly thresholds: Thresholds;
  /** What a client has to be started with, for the page that has nothing to show yet. */
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

/** The name that people recognise, and where it is from. */
export interface ConversationName {
  /** Last part of the project folder; else the first words of the first message; else the id. At most 80 characters. */
  readonly text: string;
  readonly from: 'folder' | 'words' | 'id';
  /** The whole path of the project folder, where the client told. */
  readonly folder: string | null;
  /** First words of the first user message, at most 120 characters; null where it has none. For telling two of a folder apart. */
  readonly words: string | null;
}

/** What the background call is doing. */
export interface CheckpointCallView {
  /** `waiting`: failed, tried again at `retryAt`; `given_up`: not tried again until this history is left. */
  readonly state: 'idle' | 'running' | 'waiting' | 'given_up';
  /** Tries since the threshold was crossed. */
  readonly tries: number;
  readonly maxTries: number;
  /** When the call began, while it is running. */
  readonly startedAt: number | null;
  /** When the next try is, while waiting. */
  readonly retryAt: number | null;
  /** The last failure that has not been made good, also while idle. */
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
  /** Id of the conversation that a subagent works for, where it is known. */
  readonly parent: string | null;
  /** Null until the first answer has ended. */
  readonly model: string | null;
  readonly phase: Phase;
  /** When the phase began. */
  readonly phaseSince: number;
  readonly call: CheckpointCallView;
  /** Tokens of context in use; 0 while nothing is known. */
  readonly used: number;
  /** Tokens that the client reckons with; 0 while nothing is known. Bars and thresholds are shares of this. */
  readonly effectiveWindow: number;
  /** The two thresholds in tokens, and where the client compacts by itself; null while the window is unknown. */
  readonly marks: { readonly checkpoint: number; readonly swap: number; readonly client: number } | null;
  /** Messages in the history as of the last request. */
  readonly messages: number;
  /** Messages that the servable checkpoint covers; null without one. */
  readonly covered: number | null;
  readonly created: number;
  readonly lastActivity: number;
  readonly counters: {
    readonly checkpoints: number;
    readonly failures: number;
    readonly served: number;
    /** Served and taken by the client. */
    readonly confirmed: number;
    readonly forwarded: number;
  };
}

/** What changed of one conversation since the last patch. Objects in it are whole, never merged. */
export type ConversationChange = Pick<ConversationView, 'id'> & Partial<Omit<ConversationView, 'id'>>;

export type ConversationsPatch =
  /** Replaces all that the page knows. */
  | { readonly full: true; readonly conversations: readonly ConversationView[] }
  /** A conversation that the page does not know comes whole. */
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

/** Figures over all conversations. Always sent whole. */
export interface Totals {
  /** What is counted here was counted from then on. */
  readonly since: number;
  /** Conversations tracked now, by phase. */
  readonly conversations: Readonly<Record<Phase, number>>;
  /** `POST /v1/messages` requests. */
  readonly requests: number;
  /** Milliseconds that nobody waited for a summary. */
  readonly savedMs: number;
  readonly checkpoints: {
    readonly made: number;
    /** Served at least once. */
    readonly used: number;
    /** Let go of without having been served. */
    readonly wasted: number;
    readonly failed: number;
    /** Calls under way now. */
    readonly running: number;
    /** Servable now. */
    readonly held: number;
    /** Set while none is computed because many have failed; `until`: when one is tried again, null: one is tried now. */
    readonly paused?: { readonly until: number | null };
  };
  readonly compactions: {
    readonly served: number;
    readonly confirmed: number;
    /** By reason; reasons that never occurred are missing. */
    readonly forwarded: Readonly<Partial<Record<ForwardReason, number>>>;
  };
  readonly tokens: TokenCounts;
  /** Answers of the API to message requests with a status of 400 or more, and failures to reach it; most recent first. */
  readonly apiErrors: readonly ApiErrorCount[];
}

export interface ApiErrorCount {
  /** HTTP status; 0: it could not be reached, or broke off. */
  readonly status: number;
  readonly count: number;
  readonly last: number;
}

/** One stretch of time. */
export interface HistoryBucket {
  /** Beginning of the stretch. */
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

/** Buckets, oldest first; a stretch in which nothing happened is missing. In a patch they replace those of the same `at`. */
export interface HistoryPatch {
  readonly full: boolean;
  /** Length of a bucket. */
  readonly bucketMs: number;
  /** Buckets older than this are gone. */
  readonly from: number;
  readonly buckets: readonly HistoryBucket[];
}

// ── event log ────────────────────────────────────────────────────────────────────────────────────────────────────────

export type LogValue = string | number | boolean | null | readonly string[];

/** One line of the structured log, INFO and above. No message text, no credentials. */
export interface LogEntry {
  /** Rises by one with each entry of this process. A gap means that entries were dropped for this page. */
  readonly seq: number;
  readonly at: number;
  readonly level: 'info' | 'warn' | 'error';
  /** Dot.case, e.g. `phase.changed`, `checkpoint.completed`, `compaction.served`, `api.error`. */
  readonly event: string;
  /** The conversation that it is about, or null. */
  readonly conversation: string | null;
  readonly fields: Readonly<Record<string, LogValue>>;
}

/** Entries, oldest first. `full`: all that the server keeps (the last 1,000). */
export interface LogPatch {
  readonly full: boolean;
  readonly entries: readonly LogEntry[];
}

// ── one conversation ─────────────────────────────────────────────────────────────────────────────────────────────────

export interface PhaseChange {
  readonly at: number;
  readonly phase: Phase;
}

/** After an answer. */
export interface TokenSample {
  readonly at: number;
  readonly used: number;
  readonly effectiveWindow: number;
}

/** What the chart marks. */
export interface SeriesMark {
  readonly at: number;
  /**
   * `checkpoint`: a summary got ready; `failed`: a call failed; `swap`: a compaction was served here; `compaction`: one
   * went to the API; `replaced`: the conversation goes on from a summary; `reset`: by hand.
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
  /** How long the whole of it is. More than `text.length`: it was cut. */
  readonly chars: number;
  /** Name of the tool, of a call or (where it can be told) a result; the type of an `other` block; else null. */
  readonly name: string | null;
  /** Set for a tool's result that is an error. */
  readonly failed: boolean;
}

export interface MessageView {
  /** Place in the history, from 0. Those below `ConversationView.covered` are in the checkpoint's summary; the others are the write-ahead part. */
  readonly index: number;
  readonly role: 'user' | 'assistant' | 'system' | (string & {});
  readonly blocks: readonly BlockView[];
}

/**
 * The messages as of the last request. Nothing is kept of a conversation that nobody looks at, so a page that is opened
 * sees them from the conversation's next request on.
 */
export type MessagesView =
  | { readonly state: 'waiting' }
  | {
      readonly state: 'shown';
      /** Of the request that they are from. */
      readonly at: number;
      /** Messages of the history; those before the first of `messages` are left out because of their size. */
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
  /** Messages that it covers. */
  readonly covered: number;
  /** How long the call took. */
  readonly durationMs: number;
  readonly tokens: TokenCounts;
  /** The conversation that it was computed for, when that is another one (a fork, a resume); else null. */
  readonly computedFor: string | null;
}

/** The last compaction that was served here. */
export interface SwapView {
  readonly at: number;
  readonly checkpoint: string;
  /** What was replaced … */
  readonly messagesBefore: number;
  readonly usedBefore: number;
  /** … by what: the summary and the recent messages behind it. */
  readonly summaryChars: number;
  readonly recentMessages: number;
  readonly recentChars: number;
  /** Tokens in use after the first answer that followed; null until then. */
  readonly usedAfter: number | null;
  /** Whether the client took it; null until its next request shows. */
  readonly taken: boolean | null;
  /** How long the client waited … */
  readonly waitedMs: number;
  /** … and how much longer it would have. */
  readonly savedMs: number;
}

/** All about one conversation beside its {@link ConversationView}. */
export interface ConversationDetail {
  readonly id: string;
  /** Oldest first, the last 200. */
  readonly phases: readonly PhaseChange[];
  /** Oldest first, at most 500; of a long conversation every second, fourth … answer. */
  readonly samples: readonly TokenSample[];
  /** Oldest first, the last 200. */
  readonly marks: readonly SeriesMark[];
  readonly messages: MessagesView;
  readonly checkpoint: CheckpointView | null;
  readonly lastSwap: SwapView | null;
}

/** What changed of a detail. Each field that is there replaces the one that the page has. */
export type DetailPatch = Pick<ConversationDetail, 'id'> & Partial<Omit<ConversationDetail, 'id'>>;

// ── inspector ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** An actor of the running system. */
export interface ActorView {
  /** XState's session id, unique in this process: `x:4`. */
  readonly session: string;
  /** Name among its parent's children: `conversation:…`, `forwarder`, `computeCheckpoint`… */
  readonly id: string;
  /** Session of its parent; null for the supervisor, and for an actor that has none. */
  readonly parent: string | null;
  /** Key into `machines` for an actor with a statechart, else null. */
  readonly machine: string | null;
  readonly kind: 'machine' | 'promise' | 'callback' | 'other';
  readonly status: 'active' | 'done' | 'error' | 'stopped';
  /** Ids of the active state nodes, outermost first (nodes of its machine's graph); [] without a statechart. */
  readonly states: readonly string[];
}

/** A state node as it is drawn. */
export interface GraphNode {
  /** e.g. `conversation.alive.call.running`; the root's is the machine's id. */
  readonly id: string;
  /** Last part of the id. */
  readonly key: string;
  readonly parent: string | null;
  readonly type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history';
  /** Id of the child that is entered first, of a compound node; else null. */
  readonly initial: string | null;
  readonly description: string | null;
  /** Names of actions. */
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly invokes: readonly { readonly id: string; readonly src: string }[];
  /** Names of delays after which something happens here: `retryPause`, `60000 ms`. */
  readonly delays: readonly string[];
}

/** A transition as it is drawn. */
export interface GraphEdge {
  /** Stable for a machine. */
  readonly id: string;
  readonly source: string;
  /** The same as `source` for one that stays where it is. */
  readonly target: string;
  /** What is written at it: the event's type, `after retryPause`, `done: computeCheckpoint`, `always`. */
  readonly label: string;
  /** The event's type as XState has it; '' for `always`. */
  readonly event: string;
  readonly kind: 'event' | 'after' | 'done' | 'error' | 'always';
  readonly guard: string | null;
  readonly actions: readonly string[];
  /** False for one that only runs actions: no state is left or entered. */
  readonly moves: boolean;
}

/** A statechart, read off the machine itself. Nodes parents first. */
export interface MachineGraph {
  readonly id: string;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** What happened among the actors. */
export type InspectionRecord =
  /** An actor began. */
  | { readonly kind: 'started'; readonly seq: number; readonly at: number; readonly actor: ActorView }
  /** An actor ended. `session` stays known for looking back. */
  | {
      readonly kind: 'ended';
      readonly seq: number;
      readonly at: number;
      readonly session: string;
      readonly status: 'done' | 'error' | 'stopped';
    }
  /** An actor took an event, whatever it made of it. */
  | {
      readonly kind: 'event';
      readonly seq: number;
      readonly at: number;
      /** Session of the sender; null from outside. */
      readonly sender: string | null;
      readonly receiver: string;
      readonly type: string;
      /** Hand-picked fields of the event. */
      readonly payload: Readonly<Record<string, LogValue>>;
      readonly before: readonly string[];
      readonly after: readonly string[];
      /** Ids of the edges that were taken, in order; [] when nothing came of it, or the receiver has no statechart. */
      readonly edges: readonly string[];
      /** Hand-picked fields of the receiver's context afterwards. */
      readonly context: Readonly<Record<string, LogValue>>;
    }
  /** Events of actors that this page does not watch, left out because there were too many; `seq` is the last one's. */
  | {
      readonly kind: 'left_out';
      readonly seq: number;
      readonly at: number;
      readonly events: number;
      /** Receivers that have come to other states by them. */
      readonly moved: readonly {
        readonly session: string;
        readonly before: readonly string[];
        readonly after: readonly string[];
      }[];
    };

/** Answer to `inspector.open`. */
export interface InspectorView {
  readonly machines: Readonly<Record<string, MachineGraph>>;
  /** All actors as they are now. */
  readonly actors: readonly ActorView[];
  /** What the server still keeps of what happened, oldest first (the last 2,000, from when somebody began to look). */
  readonly records: readonly InspectionRecord[];
}

/** Records, oldest first. */
export interface InspectorPatch {
  readonly records: readonly InspectionRecord[];
}

/** A recording, as it is exported and loaded again without a proxy. Anything of another `format` or `version` is refused. */
export interface Recording {
  readonly format: 'claude-db-proxy/recording';
  readonly version: 1;
  readonly proxy: { readonly version: string };
  /** When the export was made. */
  readonly exported: number;
  readonly machines: Readonly<Record<string, MachineGraph>>;
  /** The actors as they were before the first record. */
  readonly actors: readonly ActorView[];
  readonly records: readonly InspectionRecord[];
}

// ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How a request over the socket ends. */
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
  /** Of the conversation that this page has open. After the conversation has gone no more come; see `conversations`. */
  readonly detail: (patch: DetailPatch) => void;
  readonly inspector: (patch: InspectorPatch) => void;
}

export interface ClientToServerEvents {
  /** Opens the detail of a conversation, in place of another that was open. Its patches follow. */
  readonly 'detail.open': (id: string, answer: (outcome: Outcome<ConversationDetail>) => void) => void;
  readonly 'detail.close': () => void;
  /** Drops the conversation's checkpoint, ends a running call, forgets tries and failure. */
  readonly 'conversation.reset': (id: string, answer: (outcome: Outcome) => void) => void;
  /** Begins to inspect. `inspector` patches follow. Opening again gives a fresh view. */
  readonly 'inspector.open': (answer: (outcome: Outcome<InspectorView>) => void) => void;
  /**
   * The actors that this page looks at; none at the beginning. All that they take and send comes, and all beginnings and
   * ends; of the other events some hundred a second, the rest as `left_out`.
   */
  readonly 'inspector.watch': (sessions: readonly string[]) => void;
  readonly 'inspector.close': () => void;
}

// ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `GET /api/conversations`: most recently active first. */
export interface ConversationsAnswer {
  readonly conversations: readonly ConversationView[];
}

/** `GET /api/conversations/:id`. Messages are for pages that watch; nothing of them is kept. */
export interface ConversationAnswer {
  readonly conversation: ConversationView;
  readonly detail: Omit<ConversationDetail, 'messages'>;
}

/** `POST /api/conversations/:id/reset`. */
export interface ResetAnswer {
  readonly conversation: ConversationView;
}

/** Any answer with a status of 400 or more: the API's own shape. */
export interface ErrorAnswer {
  readonly type: 'error';
  readonly error: { readonly type: string; readonly message: string };
}
