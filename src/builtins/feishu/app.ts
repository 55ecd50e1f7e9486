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

/** Takes the app out of the environment, where it is named there: children are started from this process, and whoever reads its environment may be anybody. */
export function takeAppFrom(env: NodeJS.ProcessEnv): FeishuApp | undefined {
  const app = appOf(env["FEISHU_APP_ID"], env["FEISHU_APP_SECRET"]);
  delete env["FEISHU_APP_ID"];
  delete env["FEISHU_APP_SECRET"];
  return app;
}
