import type { en } from "./en.ts";

/** What the user's page says, in Chinese. */
export const zh: Readonly<Record<keyof typeof en, string>> = {
  title: "我的服务器",
  signInTitle: "登录",
  signInWhy: "请输入您的访问密钥。密钥只发送给本服务器，页面不会保存。",
  accessKey: "访问密钥",
  signIn: "登录",
  keyInvalid: "访问密钥无效。",
  signedOut: "您已退出：会话或其所用的密钥已经结束。",
};
