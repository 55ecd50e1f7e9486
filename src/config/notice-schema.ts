import { z } from "zod";
import { filePath } from "./strings.ts";

const kind = <K extends string>(name: K) =>
  z
    .literal(name)
    .describe(
      "what listens there: a program of yours (`json`), or an incoming webhook of Slack or of a custom bot of Feishu or Lark",
    );

const common = {
  urlFile: filePath.describe(
    "holds the URL, which is a secret: who knows it can post; a file that no other account can read",
  ),
  lang: z.enum(["en", "zh"]).default("en").describe("the language of the text"),
};

const json = z.strictObject({ kind: kind("json"), ...common });
const slack = z.strictObject({ kind: kind("slack"), ...common });
const feishu = z.strictObject({
  kind: kind("feishu"),
  ...common,
  secretFile: filePath
    .optional()
    .describe("holds the secret that messages are signed with, where the bot checks signatures"),
});

const notice = z.discriminatedUnion("kind", [json, slack, feishu], {
  error: 'must be "json", "slack" or "feishu"',
});

/** Who is told when something needs a person. What was told is remembered by `urlFile`. */
export const notices = z.array(notice).superRefine((all, context) => {
  for (const [at, { urlFile }] of all.entries())
    if (all.findIndex((one) => one.urlFile === urlFile) < at)
      context.addIssue({ code: "custom", path: [at, "urlFile"], message: "is there twice" });
});
