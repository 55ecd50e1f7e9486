import type { Caller } from "../builtin.ts";
import { APP_TOKEN_WORDS, REFRESH_WORDS } from "./words.ts";

export const APP_TOKEN = "get_feishu_app_token";
export const REFRESH = "refresh_feishu_user_token";

const text = { type: "string" };
const number = { type: "number" };

const objectOf = (properties: Readonly<Record<string, object>>): object => ({
  type: "object",
  properties,
  required: Object.keys(properties),
});

/** What the server shows of its tools. */
export function feishuTools({ language }: Caller): readonly object[] {
  return [
    {
      name: APP_TOKEN,
      title: APP_TOKEN_WORDS.title[language],
      description: APP_TOKEN_WORDS.about[language],
      inputSchema: { type: "object", properties: {} },
      outputSchema: objectOf({ app_access_token: text, expires_at: number }),
      annotations: { readOnlyHint: true, openWorldHint: true },
    },
    {
      name: REFRESH,
      title: REFRESH_WORDS.title[language],
      description: REFRESH_WORDS.about[language],
      inputSchema: objectOf({
        refresh_token: { ...text, description: REFRESH_WORDS.refreshToken[language] },
      }),
      outputSchema: objectOf({
        access_token: text,
        refresh_token: text,
        expires_in: number,
        token_type: text,
        scope: text,
      }),
      // It uses the refresh token up: nobody is to take it for a call that may be made twice.
      annotations: {
        readOnlyHint: false,
        destructiveHint: true,
        idempotentHint: false,
        openWorldHint: true,
      },
    },
  ];
}
