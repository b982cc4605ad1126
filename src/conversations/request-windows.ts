/** How large the context window of a request is, and at which shares of it something happens. Asked by conversations.ts. */
import type { Thresholds } from '../../machines/conversation-events.ts';
import { tokens, type Tokens } from '../../machines/units.ts';
import type { Config } from '../config/config.ts';
import { headerValue } from '../wire/headers.ts';
import { launchThresholds, launchWindow } from '../wire/launch-settings.ts';
import { contextWindow, effectiveWindow, type LearnedWindows } from '../wire/windows.ts';
import type { ParsedRequest } from './parsed-request.ts';

export interface RequestWindowsOptions {
  readonly config: Pick<Config, 'modelWindows' | 'thresholds'>;
  readonly learned: LearnedWindows;
}

export class RequestWindows {
  readonly #options: RequestWindowsOptions;

  constructor(options: RequestWindowsOptions) {
    this.#options = options;
  }

  /** All that fits, of which `used` tokens do already. */
  window(seen: ParsedRequest, used: Tokens): Tokens {
    const { config, learned } = this.#options;
    const betas = headerValue(seen.headers, 'anthropic-beta') ?? '';
    const window = contextWindow(seen.request.model, betas, { configured: config.modelWindows, learned });
    // More in use than there is room for: this user has the long window of a model that has two.
    return launchWindow(used > window ? tokens(Math.max(1_000_000, used)) : window, seen.launch);
  }

  /** What of that the client fills before it compacts: the answer needs its room. */
  effective(seen: ParsedRequest, used = tokens(0)): Tokens {
    return effectiveWindow(this.window(seen, used), seen.request.maxTokens);
  }

  thresholds(seen: ParsedRequest, effective: Tokens): Thresholds {
    return launchThresholds(this.#options.config.thresholds, seen.launch, effective);
  }
}
