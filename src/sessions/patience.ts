import { guarded } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import { begin, canCarry } from "./open-post.ts";
import type { Post } from "./open-post.ts";

interface Posts {
  values(): Iterable<Post>;
}

/**
 * Makes streams of the answers of a session that are silent for too long. One timer for all of its
 * posts: nearly all are answered at once, and a timer each would be wasted.
 */
export class Patience {
  readonly #posts: Posts;
  readonly #broke: (failure: SupervisorError) => void;
  #timer: NodeJS.Timeout | undefined;
  #ms = 0;

  /** `posts` are those that wait, the oldest first; `broke` is told what throws. */
  constructor(posts: Posts, broke: (failure: SupervisorError) => void) {
    this.#posts = posts;
    this.#broke = broke;
  }

  /** A post waits, and may be silent for so long. */
  begin(ms: number): void {
    // That of `initialize` is longer, since the revision was not known.
    if (this.#timer !== undefined && this.#ms === ms) return;
    this.end();
    this.#ms = ms;
    this.#timer = this.#loseIn(ms);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #lose(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const post of this.#posts.values()) {
      if (post.isStream || !canCarry(post) || !post.outlet.isAttached) continue;
      const leftMs = post.since + this.#ms - now;
      if (leftMs > 0) return void (this.#timer = this.#loseIn(leftMs));
      begin(post);
    }
  }

  #loseIn(ms: number): NodeJS.Timeout {
    return setTimeout(
      guarded("session", this.#broke, () => this.#lose()),
      ms,
    );
  }
}
