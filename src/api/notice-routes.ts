import type { Router } from "express";
import { mount } from "./answers.ts";
import { readBody } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { TestedNotices } from "./types.ts";

/** Whether those who are to be told can be. */
export function addNoticeRoutes(router: Router, { notices }: ControlParts): void {
  const test = async (): Promise<TestedNotices> => {
    const tested = await notices.test();
    return {
      notices: tested.map(({ kind, urlFile, failure }) => ({
        kind,
        urlFile,
        failure: failure && { code: failure.code, message: failure.message },
      })),
    };
  };

  mount(router, "/notices/test", {
    post: async (req) => {
      readBody(req, []);
      return { body: await test() };
    },
  });
}
