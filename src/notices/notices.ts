/** Room: notices. Tells people of what needs one: by log, and where the config says so. In: what is in trouble at the moment. Out: messages, once for each trouble and daily until it is mended. Finds no trouble itself, sends no secret. */
import type { Config, NoticeDef } from "../config/config.ts";
import { toSupervisorError } from "../errors.ts";
import type { SupervisorError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import { NoticeBook } from "./book.ts";
import { sendTo } from "./channels.ts";
import type { Hide, Message } from "./channels.ts";
import { TROUBLE_KINDS } from "./trouble.ts";
import type { Look, Trouble, TroubleKind } from "./trouble.ts";
import { TEST_WORDS, sentenceOf, summaryOf } from "./words.ts";
import type { Language } from "../http/language.ts";

const LOOK_EVERY_MS = 30_000;
/** As many of a kind are told one by one. */
const MAX_SINGLE = 5;

/** Somebody who is told. */
interface Channel {
  /** What was told is remembered by it. */
  name: string;
  kind: NoticeDef["kind"] | "log";
  lang: Language;
  send: (message: Message) => Promise<void>;
}

/** What became of a test. */
export interface TestedNotice {
  kind: NoticeDef["kind"];
  urlFile: string;
  failure: SupervisorError | null;
}

export interface NoticesParts {
  store: Pick<Store, "notices" | "transaction">;
  config: Pick<Config, "notices" | "publicUrl">;
  log: Logger;
  metrics: Pick<Metrics, "noticed">;
  scrubber: Pick<Scrubber, "set" | "scrub">;
}

export class Notices {
  readonly #parts: NoticesParts;
  readonly #book: NoticeBook;
  readonly #closing = new AbortController();
  readonly #underWay = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #troubles: readonly Trouble[] = [];

  constructor(parts: NoticesParts) {
    this.#parts = parts;
    this.#book = new NoticeBook(parts.store);
  }

  /** From now on whoever is to be told is told of what `look` finds. */
  start(look: () => Look): void {
    const turn = (): void => {
      this.#timer = setTimeout(turn, LOOK_EVERY_MS);
      this.#timer.unref();
      try {
        this.#tell(look());
      } catch (err) {
        this.#parts.log.error({ err }, "nobody can be told of troubles now; tried again soon");
      }
    };
    turn();
  }

  /** How many troubles there were at the last look. */
  counts(): Record<TroubleKind, number> {
    const counts = TROUBLE_KINDS.map((kind) => [
      kind,
      this.#troubles.filter((trouble) => trouble.kind === kind).length,
    ]);
    return Object.fromEntries(counts) as Record<TroubleKind, number>;
  }

  /** What needed a person at the last look. */
  get troubles(): readonly Trouble[] {
    return this.#troubles;
  }

  /** Sends a test to everybody whom the config names, at once and once. */
  async test(): Promise<TestedNotice[]> {
    const tests = this.#parts.config.notices.map(async (def) => {
      const { kind, urlFile, lang } = def;
      const message = { event: "test", text: TEST_WORDS[lang], about: [], at: Date.now() } as const;
      const failure = await this.#send(def, message).then(
        () => null,
        (error: unknown) => toSupervisorError(error),
      );
      return { kind, urlFile, failure };
    });
    return await Promise.all(tests);
  }

  /** What is under way is given up, and told after the next start. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#closing.abort();
    await this.settled();
  }

  /** Resolves when nobody is being told. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay.values());
  }

  #tell(look: Look): void {
    const channels = this.#channels();
    const now = Date.now();
    this.#troubles = look.troubles;
    this.#book.keepOnly(channels.map(({ name }) => name));
    for (const { name } of channels) this.#book.see(name, look, now);
    this.#save();
    for (const channel of channels) {
      if (this.#underWay.has(channel.name)) continue;
      const groups = this.#book.due(channel.name, look.troubles, now);
      if (groups.length === 0) continue;
      const telling = this.#tellAll(channel, groups).finally(() =>
        this.#underWay.delete(channel.name),
      );
      this.#underWay.set(channel.name, telling);
    }
  }

  /** One after the other: whoever is told takes only so many at a time. */
  async #tellAll(channel: Channel, groups: readonly Trouble[][]): Promise<void> {
    for (const group of groups) {
      const isMany = group.length > MAX_SINGLE;
      for (const about of isMany ? [group] : group.map((one) => [one])) {
        if (this.#closing.signal.aborted) return;
        await this.#try(channel, about);
      }
    }
  }

  /** Never rejects. */
  async #try(channel: Channel, about: readonly Trouble[]): Promise<void> {
    const { name, kind, lang } = channel;
    const { log, metrics } = this.#parts;
    const at = Date.now();
    const event = about[0]!.kind;
    const text = about.length === 1 ? sentenceOf(about[0]!, lang, at) : summaryOf(about, lang);
    this.#book.begin(name, about, at);
    this.#save();
    try {
      await channel.send({ event, text, about, at });
      this.#book.told(name, about, Date.now());
      metrics.noticed(kind, "told");
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      const isLast = this.#book.isGivenUp(name, about);
      metrics.noticed(kind, isLast ? "given-up" : "failed");
      const then = isLast ? "given up until tomorrow" : "it is tried again";
      const { message } = toSupervisorError(error);
      log.warn({ channel: name, event }, `a notice was not taken: ${message}; ${then}`);
    }
    this.#save();
  }

  #save(): void {
    try {
      this.#book.save();
    } catch (err) {
      this.#parts.log.warn({ err }, "what was told cannot be written down now");
    }
  }

  #channels(): Channel[] {
    const toLog: Channel = { name: "log", kind: "log", lang: "en", send: this.#log };
    return [
      toLog,
      ...this.#parts.config.notices.map((def) => ({
        name: `${def.kind} ${def.urlFile}`,
        kind: def.kind,
        lang: def.lang,
        send: async (message: Message) => await this.#send(def, message),
      })),
    ];
  }

  readonly #log = async ({ event, text, about }: Message): Promise<void> => {
    const [only] = about.length === 1 ? about : [];
    const who =
      only === undefined ? { count: about.length } : { user: only.user, server: only.server };
    this.#parts.log.warn({ event, ...who }, `trouble: ${text.replaceAll("\n", " ")}`);
    await Promise.resolve();
  };

  /** Without secrets, and with where it comes from: there may be several installations. */
  async #send(def: NoticeDef, message: Message): Promise<void> {
    const { config, scrubber } = this.#parts;
    const text = scrubber.scrub(`[${config.publicUrl.hostname}] ${message.text}`);
    const hide: Hide = (name, secret) => scrubber.set(name, secret);
    await sendTo(def, { ...message, text }, hide, this.#closing.signal);
  }
}
