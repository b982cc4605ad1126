/** The context window of a request, and the thresholds that apply to it. */
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

  /** The context window of a request that has `used` tokens in use. */
  window(parsed: ParsedRequest, used: Tokens): Tokens {
    const { config, learned } = this.#options;
    const betas = headerValue(parsed.headers, 'anthropic-beta') ?? '';
    const window = contextWindow(parsed.request.model, betas, { configured: config.modelWindows, learned });
    // More tokens are in use than fit: this user has the larger of the model's two windows.
    return launchWindow(used > window ? tokens(Math.max(1_000_000, used)) : window, parsed.launch);
  }

  /** The part of the window that the client fills before it compacts; the rest is for the answer. */
  effective(parsed: ParsedRequest, used = tokens(0)): Tokens {
    return effectiveWindow(this.window(parsed, used), parsed.request.maxTokens);
  }

  thresholds(parsed: ParsedRequest, effective: Tokens): Thresholds {
    return launchThresholds(this.#options.config.thresholds, parsed.launch, effective);
  }
}
