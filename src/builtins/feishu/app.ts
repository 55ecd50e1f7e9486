/** An app of Feishu's open platform, by what it shows itself with. */
export interface FeishuApp {
  readonly id: string;
  readonly secret: string;
}

/** Longer than any, and nothing that would not stand in a header or a line. */
const TEXT = /^[\x21-\x7e]{1,256}$/;

const isText = (value: unknown): value is string => typeof value === "string" && TEXT.test(value);

/** Undefined where the two are not what an app could have. */
export const appOf = (id: unknown, secret: unknown): FeishuApp | undefined =>
  isText(id) && isText(secret) ? { id, secret } : undefined;

/** The app that the user's token names, where that is JSON with both. */
export function appInToken(token: string | undefined): FeishuApp | undefined {
  if (token?.trimStart().startsWith("{") !== true) return undefined;
  try {
    const { app_id: id, app_secret: secret } = JSON.parse(token) as Record<string, unknown>;
    return appOf(id, secret);
  } catch {
    return undefined;
  }
}
