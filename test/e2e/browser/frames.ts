import type { Page } from 'playwright-core';

export interface Frames {
  readonly perSecond: number;
  /** The longest frame, in milliseconds. */
  readonly longest: number;
}

/** Counts the frames that a page renders within `ms`. A string, since compiled functions call helpers. */
export function countFrames(page: Page, ms: number): Promise<Frames> {
  return page.evaluate(`new Promise((resolve) => {
    const start = performance.now();
    let last = start, frames = 0, longest = 0;
    requestAnimationFrame(function frame(now) {
      frames += 1;
      longest = Math.max(longest, now - last);
      last = now;
      if (now - start < ${ms}) requestAnimationFrame(frame);
      else resolve({ perSecond: (frames * 1000) / (now - start), longest });
    });
  })`);
}
