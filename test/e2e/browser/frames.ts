/** How smoothly a page runs. */
import type { Page } from 'playwright-core';

export interface Frames {
  readonly perSecond: number;
  /** Longest time between two frames, in milliseconds. */
  readonly longest: number;
}

/** Counts the frames that a page draws within `ms`. As text, for the page knows nothing of what a compiler adds. */
export function countFrames(page: Page, ms: number): Promise<Frames> {
  return page.evaluate(`new Promise((resolve) => {
    const began = performance.now();
    let last = began, frames = 0, longest = 0;
    requestAnimationFrame(function frame(now) {
      frames += 1;
      longest = Math.max(longest, now - last);
      last = now;
      if (now - began < ${ms}) requestAnimationFrame(frame);
      else resolve({ perSecond: (frames * 1000) / (now - began), longest });
    });
  })`);
}
