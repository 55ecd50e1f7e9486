import type { Language } from "../http/language.ts";
import { spokenDuration } from "../platform/durations.ts";
import type { Trouble, TroubleKind } from "./trouble.ts";

/** Of what a child or a system said. */
const MAX_REASON = 200;
/** Of names in a summary. */
const MAX_NAMES = 10;

type Words = Record<Language, string>;
type Named = Trouble & { now: number };

const SENTENCES: Record<TroubleKind, (trouble: Named) => Words> = {
  needs_reauth: (trouble) => ({
    en: `${trouble.user} has to connect ${trouble.server} anew, its provider refreshes the token no more: ${trouble.reason}\n→ ${toConnect(trouble).en}`,
    zh: `${trouble.user} 需要重新授权 ${trouble.server}，服务商不再刷新其令牌：${trouble.reason}\n→ ${toConnect(trouble).zh}`,
  }),
  refresh_token: (trouble) => ({
    en: `${trouble.user}'s refresh token for ${trouble.server} ${ends(trouble).en}\n→ ${toConnect(trouble).en}`,
    zh: `${trouble.user} 用于 ${trouble.server} 的刷新令牌${ends(trouble).zh}\n→ ${toConnect(trouble).zh}`,
  }),
  token: (trouble) => {
    const { user, server } = trouble;
    const next = `→ mcp-supervisor token set ${user}${server === null ? "" : ` --server ${server}`}`;
    return {
      en: `${user}'s ${server === null ? "general token" : `token for ${server}`} ${ends(trouble).en}\n${next}`,
      zh: `${user} ${server === null ? "的通用令牌" : `用于 ${server} 的令牌`}${ends(trouble).zh}\n${next}`,
    };
  },
  key: (trouble) => ({
    en: `the access key ${trouble.about} of ${trouble.user} ${ends(trouble).en}\n→ mcp-supervisor key issue ${trouble.user}`,
    zh: `${trouble.user} 的访问密钥 ${trouble.about} ${ends(trouble).zh}\n→ mcp-supervisor key issue ${trouble.user}`,
  }),
  parked: ({ user, server, reason }) => ({
    en: `${user}'s ${server} does not run and is parked after failures in a row: ${reason}\n→ mcp-supervisor doctor ${user}`,
    zh: `${user} 的 ${server} 多次失败，已停止重试：${reason}\n→ mcp-supervisor doctor ${user}`,
  }),
  provider: ({ about, reason }) => ({
    en: `the provider ${about} refuses this installation: ${reason}\n→ correct its clientId or its secret, then mcp-supervisor reload`,
    zh: `服务商 ${about} 拒绝了本系统的请求：${reason}\n→ 更正 clientId 或密钥，然后运行 mcp-supervisor reload`,
  }),
  vault: ({ reason }) => ({
    en: `the vault is in trouble: ${reason}\n→ mcp-supervisor doctor`,
    zh: `保险库异常：${reason}\n→ mcp-supervisor doctor`,
  }),
  disk: ({ reason }) => ({
    en: `the disk of the data folder is in trouble: ${reason}\n→ make room, or see to the disk`,
    zh: `数据目录所在磁盘异常：${reason}\n→ 请清理空间或检查磁盘`,
  }),
};

/** Of many of one kind. */
const MANY: Record<TroubleKind, Words> = {
  needs_reauth: { en: "tokens that users have to connect anew", zh: "个令牌需要重新授权" },
  refresh_token: { en: "refresh tokens that end within 7 days", zh: "个刷新令牌将在 7 天内到期" },
  token: {
    en: "tokens that end within 7 days, or have ended",
    zh: "个令牌将在 7 天内到期或已到期",
  },
  key: { en: "access keys that end within 7 days", zh: "个访问密钥将在 7 天内到期" },
  parked: { en: "children that are parked after failures", zh: "个实例多次失败，已停止重试" },
  provider: { en: "providers that refuse this installation", zh: "个服务商拒绝了本系统的请求" },
  vault: { en: "troubles with the vault", zh: "个保险库异常" },
  disk: { en: "troubles with the disk", zh: "个磁盘异常" },
};

/** By the user in a browser, or with a refresh token from elsewhere. */
function toConnect({ user, server, connectUrl }: Named): Words {
  const order = `mcp-supervisor token set ${user} --server ${server} --refresh-token-stdin`;
  if (connectUrl === null) return { en: order, zh: order };
  return {
    en: `${user} opens ${connectUrl} , or ${order}`,
    zh: `请 ${user} 打开 ${connectUrl} ，或运行 ${order}`,
  };
}

function ends({ endsAt, now }: Named): Words {
  const at = endsAt ?? now;
  const day = `${new Date(at).toISOString().slice(0, 16).replace("T", " ")}Z`;
  return at > now
    ? { en: `ends in ${spokenDuration(at - now)} (${day})`, zh: `将于 ${day} 到期` }
    : { en: `has ended (${day})`, zh: `已于 ${day} 到期` };
}

/** What a child said in one line, without what would end the line or turn the text round. */
const inLine = (text: string): string =>
  text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ").slice(0, MAX_REASON);

/** One trouble in a sentence, and what to do about it. */
export function sentenceOf(trouble: Trouble, language: Language, now: number): string {
  const reason = inLine(trouble.reason ?? "-");
  return SENTENCES[trouble.kind]({ ...trouble, reason, now })[language];
}

const nameOf = ({ user, server, about }: Trouble): string =>
  user === null ? about : server === null ? user : `${user}/${server}`;

/** Many of one kind in a sentence. */
export function summaryOf(troubles: readonly Trouble[], language: Language): string {
  const kind = troubles[0]!.kind;
  const names = [...new Set(troubles.map(nameOf))];
  const left = names.length - MAX_NAMES;
  const shown = names.slice(0, MAX_NAMES).join(", ");
  const many = MANY[kind][language];
  return language === "en"
    ? `${troubles.length} ${many}: ${shown}${left > 0 ? ` and ${left} more` : ""}\n→ mcp-supervisor doctor NAME`
    : `${troubles.length} ${many}：${shown}${left > 0 ? ` 等 ${names.length} 项` : ""}\n→ mcp-supervisor doctor NAME`;
}

export const TEST_WORDS: Words = {
  en: "this is a test: notices arrive here",
  zh: "这是一条测试消息：通知可以送达",
};
