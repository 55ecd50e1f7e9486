import type { Language } from "../../http/language.ts";

type Words = Readonly<Record<Language, string>>;

/** What the codes of a refusal mean, as the end of a sentence. */
const BY_CODE: Readonly<Record<string, Words>> = {
  10003: {
    en: "the app is not known: check app_id and app_secret",
    zh: "应用无效：请检查 app_id 和 app_secret",
  },
  10014: { en: "app_secret is wrong", zh: "app_secret 不正确" },
  20002: {
    en: "the app is not known, or its secret is wrong: check app_id and app_secret",
    zh: "应用无效或密钥错误：请检查 app_id 和 app_secret",
  },
  20024: {
    en: "the refresh token belongs to another app",
    zh: "该 refresh_token 属于另一个应用",
  },
  20026: {
    en: "the refresh token is not valid: the user has to sign in again",
    zh: "refresh_token 无效：需要用户重新登录授权",
  },
  20037: {
    en: "the refresh token has expired: the user has to sign in again",
    zh: "refresh_token 已过期：需要用户重新登录授权",
  },
  20050: { en: "Feishu has a failure: try again later", zh: "飞书服务出错：请稍后重试" },
  20064: {
    en: "the refresh token was revoked: the user has to sign in again",
    zh: "refresh_token 已被撤销：需要用户重新登录授权",
  },
  20073: {
    en: "the refresh token has been used: use the one that came with its first use",
    zh: "refresh_token 已被使用：请使用上次刷新时返回的新 refresh_token",
  },
  99991400: { en: "too many requests: try again later", zh: "请求过于频繁：请稍后重试" },
};

const UNKNOWN: Words = {
  en: "it gave no token: try again later",
  zh: "未能取得令牌：请稍后重试",
};

/** What Feishu has against it, by its code; undefined where it has none. */
export function refusalWords(code: string | undefined, language: Language): string {
  const isChinese = language === "zh";
  if (code === undefined)
    return isChinese
      ? "飞书没有给出可用的响应：请稍后重试"
      : "Feishu gave no answer that can be used: try again later";
  const why = (BY_CODE[code] ?? UNKNOWN)[language];
  return isChinese ? `飞书拒绝了请求（${code}）：${why}` : `Feishu refused (${code}): ${why}`;
}

/** What else can be wrong. */
export const WORDS = {
  noApp: {
    en: "no app is named: set a token that is JSON with app_id and app_secret, or ask the admin for an app of the server",
    zh: "未配置应用：请将令牌设为包含 app_id 和 app_secret 的 JSON，或请管理员为服务器配置应用",
  },
  noRefreshToken: {
    en: "refresh_token is missing, or is no text of one line",
    zh: "缺少 refresh_token，或其格式不正确",
  },
  ours: {
    en: "the gateway could not do it; the admin finds out why in its log",
    zh: "网关处理失败，管理员可在日志中查看原因",
  },
} as const satisfies Record<string, Words>;

export const APP_TOKEN_WORDS = {
  title: { en: "Feishu app token", zh: "飞书应用令牌" },
  about: {
    en: "Gives an app access token of Feishu that is good for at least five minutes.",
    zh: "获取有效的飞书应用访问令牌（app_access_token），至少五分钟内有效。",
  },
} as const satisfies Record<string, Words>;

export const REFRESH_WORDS = {
  title: { en: "Refresh a Feishu user token", zh: "刷新飞书用户令牌" },
  about: {
    en: "Gives a new user access token of Feishu for a refresh token, and the refresh token that takes the place of that one. A refresh token works once.",
    zh: "使用 refresh_token 获取新的飞书用户访问令牌以及新的 refresh_token。每个 refresh_token 只能使用一次。",
  },
  refreshToken: {
    en: "the refresh token that came with the last user access token",
    zh: "随上一个用户访问令牌返回的 refresh_token",
  },
} as const satisfies Record<string, Words>;
