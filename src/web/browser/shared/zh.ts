import type { en } from "./en.ts";

/** What all pages say, in Chinese. */
export const zh: Readonly<Record<keyof typeof en, string>> = {
  signOut: "退出登录",
  copy: "复制",
  copied: "已复制",
  showAll: "显示全部",
  cancel: "取消",
  loading: "正在加载……",
  request: "请求 {id}",
  offline: "服务器没有响应，页面会自动重试。",
  tooMany: "尝试次数过多，请等待一分钟。",
  refused: "操作未成功：{message}",
  outOfOrigin: "打开本页所用的地址不是服务器认可的地址。",
  formRequired: "{name}：必须填写。",
  formNotJson: "{name}：不是有效的 JSON。",
  formNotNumber: "{name}：不是数字。",
  formNotGiven: "（不填）",
  formAdd: "添加一项到 {name}",
  formRemove: "移除",
  formVariant: "形式 {number}",
  formOptional: "（可选）",
};
