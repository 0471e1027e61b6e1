// Two phones and a back office. The server holds everything; this asks for it, draws it, and sends acts.
"use strict";

const FRESH = 1500; // ms between looks at the server
const remembered = JSON.parse(sessionStorage.getItem("phone") || "{}");
const view = Object.assign(
  { which: "customer", customer: "", clerk: "", customerTab: "talks", clerkTab: "talks", customerTalk: "", clerkTalk: "", scanWhose: "", frame: "" },
  remembered,
);
let state = null;
const drawn = {};

// ── Drawing ──
function h(tag, given, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given || {})) {
    if (name === "on") node.addEventListener("click", value);
    else if (name in node && name !== "list") node[name] = value;
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...inside.flat().filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}
const act = (said, done, kind = "") => h("button", { type: "button", className: "act " + kind, on: done }, said);
const empty = (said) => h("p", { className: "empty" }, said);
const list = (rows, said) => (rows.length ? h("ul", { className: "list" }, rows.map((one) => h("li", {}, one))) : empty(said));

function show(place, key, make) {
  // Draw only what has changed, so that a field being typed in stays.
  const said = JSON.stringify(key);
  if (drawn[place] === said) return;
  drawn[place] = said;
  const box = document.getElementById(place);
  const old = box.querySelector(".screen");
  const atEnd = old && old.scrollTop + old.clientHeight >= old.scrollHeight - 40;
  const top = old ? old.scrollTop : 0;
  const typed = box.querySelector(".say input");
  const words = typed ? typed.value : "";
  const isTyping = typed && document.activeElement === typed;
  box.replaceChildren(...make());
  const screen = box.querySelector(".screen");
  if (screen) screen.scrollTop = screen.querySelector(".talk") && (atEnd || !old) ? screen.scrollHeight : top;
  const field = box.querySelector(".say input");
  if (field) { field.value = words; if (isTyping) field.focus(); }
}

let noticeEnds;
function notice(said) {
  document.getElementById("notice").textContent = said;
  clearTimeout(noticeEnds);
  noticeEnds = setTimeout(() => { document.getElementById("notice").textContent = ""; }, 4000);
}

// ── The server ──
async function post(path, body) {
  const answer = await fetch("/_control/" + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ corp_id: state.corp.corp_id, ...body }),
  });
  const told = await answer.json();
  if (!answer.ok) { notice(`没有成功：${told.error}`); return null; }
  await look();
  return told;
}
const doing = (name, body) => post("act/" + name, body);

async function look() {
  try {
    const corp = view.corp ? "?corp_id=" + encodeURIComponent(view.corp) : "";
    const answer = await fetch("/phone/state" + corp);
    state = await answer.json();
  } catch {
    notice("模拟器没有回应，它可能已经停止。");
    return;
  }
  draw();
}
function turn(changes) {
  Object.assign(view, changes);
  sessionStorage.setItem("phone", JSON.stringify(view));
  draw();
}

// ── What is known ──
const members = () => Object.values(state.corp.members).filter((one) => one.left_at === null);
const customers = () => Object.values(state.corp.customers);
const follows = () => Object.values(state.corp.follows);
const named = (id) => (state.corp.members[id] || state.corp.customers[id] || state.corp.chats[id] || { name: id }).name || id;
const linesOf = (chat) => state.corp.lines.filter((one) => one.chat === chat);
const time = (at) => new Date(at * 1000).toLocaleString("zh-CN", { month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit" });
const VIA = { welcome: "欢迎语", group_send: "群发", sidebar: "侧边栏", transfer: "转接提示" };

function said(line) {
  const content = line.content;
  const parts = [];
  if (content.text && content.text.content) parts.push(content.text.content);
  for (const one of content.attachments || [content]) parts.push(...attachment(one, one.msgtype));
  return parts;
}
function attachment(one, kind) {
  const parts = [];
  const link = one.link || one.news;
  if (link) parts.push(h("small", {}, "链接"), h("a", { href: link.url || link.link, target: "_blank", rel: "noopener" }, link.title || link.url));
  if (one.image) {
    const id = one.image.media_id || one.image.mediaid;
    parts.push(id ? h("img", { src: "/media/" + id, alt: "图片" }) : h("small", {}, "图片：" + (one.image.pic_url || "")));
  }
  if (one.miniprogram) parts.push(h("small", {}, "小程序"), one.miniprogram.title || one.miniprogram.page);
  for (const [kind, words] of [["video", "视频"], ["file", "文件"]]) {
    if (one[kind]) parts.push(h("a", { href: "/media/" + (one[kind].media_id || one[kind].mediaid), target: "_blank", rel: "noopener" }, words));
  }
  return parts;
}
function talk(chat, own) {
  const lines = linesOf(chat);
  if (!lines.length) return empty("还没有消息。");
  return h("div", { className: "talk" }, lines.map((line) => h(
    "div", { className: "bubble" + (line.by === own ? " own" : "") },
    said(line), h("small", {}, [time(line.at), VIA[line.via]].filter(Boolean).join(" · ")),
  )));
}
function sayForm(done) {
  const field = h("input", { name: "text", autocomplete: "off", placeholder: "说点什么", "aria-label": "要说的话" });
  const form = h("form", { className: "say" }, field, h("button", { className: "act main" }, "发送"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    field.value = "";
    await done(text);
  });
  return form;
}
function foot(tabs, current, name) {
  return h("nav", { className: "foot" }, tabs.map(([id, text]) => h(
    "button", { type: "button", "aria-current": current === id ? "page" : undefined, on: () => turn({ [name]: id, [name.replace("Tab", "Talk")]: "", frame: "" }) }, text,
  )));
}
function chooser(people, current, said, done) {
  const box = h("select", { "aria-label": said }, people.map((one) => h("option", { value: one.id, selected: one.id === current }, one.name)));
  box.addEventListener("change", () => done(box.value));
  return box;
}

// ── The customer's phone ──
function drawCustomer() {
  const me = state.corp.customers[view.customer];
  const mine = follows().filter((one) => one.external_userid === view.customer);
  const codes = Object.values(state.corp.ways);
  const waits = state.corp.transfers.filter((one) => one.external_userid === view.customer && one.status === 2);
  const key = [view, me, mine, codes, codes.length && members().map((one) => one.name), waits, state.corp.lines.filter((one) => one.chat.endsWith("|" + view.customer)), customers().length];
  show("customer", key, () => {
    if (view.customerTalk) return customerTalk(mine, waits);
    const people = customers().map((one) => ({ id: one.external_userid, name: one.name }));
    const bar = h("div", { className: "bar" }, chooser(people, view.customer, "扮演哪位顾客", (id) => turn({ customer: id, customerTalk: "" })), act("新顾客", newCustomer));
    const tabs = [["talks", "微信"], ["scan", "扫一扫"]];
    const screen = h("div", { className: "screen" }, (view.customerTab === "scan" ? scanList(codes) : customerTalks(mine, waits)).filter(Boolean));
    return [bar, screen, foot(tabs, view.customerTab, "customerTab")];
  });
}
async function newCustomer() {
  const name = window.prompt("新顾客的昵称", "新顾客" + (customers().length + 1));
  if (!name) return;
  const told = await doing("new_customer", { name });
  if (told) turn({ customer: told.external_userid, customerTalk: "" });
}
function customerTalks(mine, waits) {
  const rows = mine.map((one) => h("button", { type: "button", className: "open", on: () => turn({ customerTalk: one.userid }) }, named(one.userid), h("small", {}, one.is_lost ? "已删除对方" : one.is_half ? "等对方确认" : lastWords(one.userid, view.customer))));
  return [waits.map((one) => takeoverStrip(one)), h("h2", {}, "我的导购"), list(rows, "还没有导购。去“扫一扫”扫一个导购的码。")];
}
function lastWords(userid, who) {
  const lines = linesOf(userid + "|" + who);
  const last = lines[lines.length - 1];
  return last ? (last.content.text ? last.content.text.content : "[" + (VIA[last.via] || "消息") + "]") : "已添加，可以聊天了";
}
function takeoverStrip(one) {
  return h("div", { className: "strip" }, h("span", {}, `您的服务将由 ${named(one.takeover)} 接替`), act("不同意", () => doing("refuse", { external_userid: one.external_userid }), "danger"));
}
function scanList(codes) {
  // Whose code to scan: by name. What a code is called in our system stays there.
  const behind = (one) => (one.fields.user.length ? one.fields.user : members().filter((who) => who.department.some((id) => one.fields.party.includes(id))).map((who) => who.userid));
  const people = [...new Set(codes.flatMap(behind))].map((id) => ({ id, name: named(id) })).sort((one, other) => one.name.localeCompare(other.name, "zh"));
  const shown = codes.filter((one) => !view.scanWhose || behind(one).includes(view.scanWhose));
  const rows = shown.map((one) => {
    const who = behind(one).map(named).join("、") || "没有人";
    return h("div", { className: "row" }, h("div", {}, who, h("small", {}, " " + (one.fields.remark || ""))), h("img", { className: "code", src: "/qr/" + one.config_id + ".png", alt: "二维码" }), act("扫码", () => scan(one.config_id), "main"));
  });
  const chosen = people.some((one) => one.id === view.scanWhose) ? view.scanWhose : "";
  const choice = chooser([{ id: "", name: "全部导购" }, ...people], chosen, "扫谁的码", (id) => turn({ scanWhose: id }));
  return [h("h2", {}, "扫导购的码"), people.length > 1 && choice, list(chosen || !view.scanWhose ? rows : [], "还没有码。先在导购台里为导购生成“联系我”二维码。")];
}
async function scan(configId) {
  const told = await doing("scan", { config_id: configId, external_userid: view.customer });
  if (!told) return;
  notice({ added: "已添加，等一等欢迎语。", known: "你们已经是好友。", asked: "已发出申请，等导购通过。", half: "已添加，等导购确认。" }[told.state]);
  turn({ customerTab: "talks", customerTalk: told.state === "asked" ? "" : told.userid, ...clerkTurns(told) });
}
function clerkTurns(told) {
  // The other phone becomes that of whoever was scanned: there the visitor looks next.
  if (told.userid === view.clerk) return {};
  const clerkTab = ["asked", "half"].includes(told.state) ? "todo" : "talks";
  return { clerk: told.userid, clerkTab, clerkTalk: "", frame: "" };
}
function customerTalk(mine, waits) {
  const follow = mine.find((one) => one.userid === view.customerTalk);
  const bar = h("div", { className: "bar" }, act("返回", () => turn({ customerTalk: "" })), h("strong", {}, named(view.customerTalk)), follow && !follow.is_lost && act("删除", () => part("block"), "danger"));
  const strips = waits.filter((one) => one.handover === view.customerTalk).map(takeoverStrip);
  const chat = view.customerTalk + "|" + view.customer;
  const screen = h("div", { className: "screen" }, talk(chat, view.customer));
  const ids = { userid: view.customerTalk, external_userid: view.customer };
  const form = follow && !follow.is_lost ? sayForm((text) => doing("chat", { ...ids, text, by: "customer" })) : h("p", { className: "empty" }, "不再是好友。");
  return [bar, ...strips, screen, form];
}
async function part(name) {
  const isCustomer = name === "block";
  const ids = isCustomer ? { userid: view.customerTalk, external_userid: view.customer } : { userid: view.clerk, external_userid: view.clerkTalk };
  if (!window.confirm(`删除 ${named(isCustomer ? ids.userid : ids.external_userid)}？`)) return;
  await doing(name, ids);
  turn(isCustomer ? { customerTalk: "" } : { clerkTalk: "" });
}

// ── The clerk's phone ──
function drawClerk() {
  const corp = state.corp;
  const mine = follows().filter((one) => one.userid === view.clerk);
  const todo = {
    asked: corp.requests.filter((one) => one.userid === view.clerk),
    half: mine.filter((one) => one.is_half),
    sendings: Object.values(corp.sendings).filter((one) => view.clerk in one.parts && !(view.clerk in one.sent_at) && !one.is_cancelled),
    moments: Object.values(corp.moments).filter((one) => view.clerk in one.parts && !(view.clerk in one.published_at)),
  };
  const chats = Object.values(corp.chats).filter((one) => view.clerk in one.members && one.dismissed_at === null);
  const notes = corp.notes.filter((one) => one.userid === view.clerk);
  const lines = corp.lines.filter((one) => one.chat.startsWith(view.clerk + "|") || chats.some((chat) => chat.chat_id === one.chat));
  const key = view.frame ? [view] : [view, mine, todo, chats, notes, lines, members().length];
  show("clerk", key, () => {
    if (view.frame) return frame();
    if (view.clerkTalk) return clerkTalk();
    const people = members().map((one) => ({ id: one.userid, name: `${one.name} ${one.userid}` }));
    const bar = h("div", { className: "bar" }, chooser(people, view.clerk, "扮演哪位导购", (id) => turn({ clerk: id, clerkTalk: "", frame: "" })));
    const count = Object.values(todo).reduce((sum, rows) => sum + rows.length, 0);
    const tabs = [["talks", "消息"], ["work", "工作台"], ["todo", count ? `待办 ${count}` : "待办"]];
    const screens = { talks: () => clerkTalks(mine, chats), work: () => workbench(notes), todo: () => todos(todo) };
    return [bar, h("div", { className: "screen" }, screens[view.clerkTab]()), foot(tabs, view.clerkTab, "clerkTab")];
  });
}
function clerkTalks(mine, chats) {
  const rows = mine.filter((one) => !one.is_half).map((one) => h("button", { type: "button", className: "open", on: () => turn({ clerkTalk: one.external_userid }) }, one.remark || named(one.external_userid), h("small", {}, one.is_lost ? "对方已删除你" : lastWords(view.clerk, one.external_userid))));
  const groups = chats.map((one) => h("button", { type: "button", className: "open", on: () => turn({ clerkTalk: one.chat_id }) }, one.name || "群聊", h("small", {}, `${Object.keys(one.members).length} 人`)));
  return [h("h2", {}, "客户"), list(rows, "还没有客户。"), groups.length > 0 && h("h2", {}, "群聊"), groups.length > 0 && list(groups, "")];
}
function clerkTalk() {
  const group = state.corp.chats[view.clerkTalk];
  const app = Object.values(state.corp.apps).find((one) => one.sidebar_url);
  const bar = h("div", { className: "bar" },
    act("返回", () => turn({ clerkTalk: "" })),
    h("strong", {}, named(view.clerkTalk)),
    app && act("侧边栏", () => openFrame(app.sidebar_url, group ? "group_chat_tools" : "single_chat_tools"), "main"),
    !group && act("删除", () => part("delete"), "danger"));
  const chat = group ? view.clerkTalk : view.clerk + "|" + view.clerkTalk;
  const screen = h("div", { className: "screen" }, talk(chat, view.clerk));
  if (group) return [bar, screen];
  return [bar, screen, sayForm((text) => doing("chat", { userid: view.clerk, external_userid: view.clerkTalk, text, by: "clerk" }))];
}
function workbench(notes) {
  const apps = Object.values(state.corp.apps).filter((one) => one.home_url);
  const rows = apps.map((one) => h("div", { className: "row" }, h("strong", {}, one.name), act("打开", () => openApp(one), "main")));
  const cards = notes.slice().reverse().map(note);
  return [h("h2", {}, "应用"), list(rows, "还没有设置主页的应用。"), h("h2", {}, "应用消息"), ...(cards.length ? cards : [empty("还没有消息。")])];
}
async function openApp(app) {
  await doing("use_app", { userid: view.clerk, agent_id: app.agent_id, event: "enter_agent" });
  openFrame(app.home_url, "normal");
}
function note(one) {
  const body = one.content[one.msgtype] || one.content.template_card;
  const parts = [h("small", {}, `${(state.corp.apps[one.app] || {}).name || one.app} · ${time(one.at)}`)];
  const title = body.title || (body.main_title && body.main_title.title);
  if (title) parts.push(h("p", {}, h("strong", {}, title)));
  const words = body.content || body.description || body.sub_title_text || (body.main_title && body.main_title.desc);
  if (words) parts.push(h("p", {}, words.replace(/<[^>]*>/g, "")));
  for (const row of body.horizontal_content_list || []) parts.push(h("p", {}, h("small", {}, row.keyname + " "), row.value || ""));
  const url = body.url || (body.card_action && body.card_action.url);
  const buttons = [url && act(body.btntxt || "查看", () => openFrame(url, "normal"), "main")];
  if (body.replaced) buttons.push(act(body.replaced, () => {}));
  else for (const button of body.button_list || []) buttons.push(act(button.text, () => doing("press_card", { userid: view.clerk, msgid: one.msgid, key: button.key }), "main"));
  if (body.replaced) buttons[buttons.length - 1].disabled = true;
  if (buttons.some(Boolean)) parts.push(h("div", { className: "row" }, buttons));
  return h("article", { className: "card" }, parts);
}
function todos(todo) {
  const cards = [
    ...todo.asked.concat(todo.half).map((one) => h("article", { className: "card" }, h("p", {}, `${named(one.external_userid)} 想加你为好友`), h("div", { className: "row" }, act("通过", () => doing("accept", { userid: view.clerk, external_userid: one.external_userid }), "main")))),
    ...todo.sendings.map((one) => h("article", { className: "card" }, h("small", {}, `群发任务 · ${Object.keys(one.parts[view.clerk]).length} 位客户`), h("p", {}, one.content.text.content), h("div", { className: "row" }, act("发送", () => sendGroup(one), "main")))),
    ...todo.moments.map((one) => h("article", { className: "card" }, h("small", {}, "客户朋友圈"), h("p", {}, one.content.text.content), h("div", { className: "row" }, act("发表", () => doing("publish_moment", { userid: view.clerk, moment_id: one.moment_id }), "main")))),
  ];
  return cards.length ? [h("h2", {}, "等你确认"), ...cards] : [empty("没有待办。")];
}
async function sendGroup(one) {
  const told = await doing("send_group_message", { userid: view.clerk, msgid: one.msgid });
  if (told) notice(`已发送给 ${Object.values(told.results).filter((status) => status === 1).length} 位客户`);
}

// ── The browser in the phone ──
function openFrame(url, entry) {
  const given = { to: new URL(url, location.href).href, corp_id: state.corp.corp_id, userid: view.clerk, entry };
  if (entry !== "normal") given[state.corp.chats[view.clerkTalk] ? "chat_id" : "external_userid"] = view.clerkTalk;
  turn({ frame: `${state.window}/_wecom/open?${new URLSearchParams(given)}` });
}
function frame() {
  const bar = h("div", { className: "bar" }, act("关闭", () => turn({ frame: "" })), h("strong", {}, view.clerkTalk ? "侧边栏：" + named(view.clerkTalk) : "应用"));
  return [bar, h("iframe", { className: "frame", src: view.frame, title: "应用页面" })];
}
window.addEventListener("message", (event) => {
  if (!state || event.origin !== state.window) return;
  const { wecom, result } = event.data;
  const isWell = String(result.err_msg).endsWith(":ok");
  if (!isWell) notice(result.err_msg);
  else if (wecom === "sendChatMessage") { notice("已发到聊天"); look(); }
  else if (wecom === "shareToExternalMoments") { notice("已发到客户朋友圈"); look(); }
  else if (wecom === "closeWindow") turn({ frame: "" });
  else if (wecom === "openEnterpriseChat") look().then(() => turn({ frame: "", clerkTab: "talks", clerkTalk: result.opened || result.chatId }));
});

// ── The back office ──
// What people call an event, by its change; by the event too where the change alone says too little.
const EVENTS = {
  add_external_contact: "新增好友",
  add_half_external_contact: "顾客等待通过",
  edit_external_contact: "好友资料修改",
  del_external_contact: "导购删除顾客",
  del_follow_user: "顾客删除导购",
  transfer_fail: "客户接替失败",
  msg_audit_approved: "顾客同意会话存档",
  create_user: "新增成员",
  update_user: "成员修改",
  delete_user: "成员离职",
  create_party: "新增部门",
  update_party: "部门修改",
  delete_party: "部门删除",
  update_tag: "成员标签修改",
  "change_external_chat create": "建客户群",
  "change_external_chat update": "客户群变更",
  "change_external_chat dismiss": "客户群解散",
  "change_external_tag create": "新建标签",
  "change_external_tag update": "标签修改",
  "change_external_tag delete": "标签删除",
  "change_external_tag shuffle": "标签排序",
  "customer_acquisition customer_start_chat": "顾客从获客链接开口",
  template_card_event: "点了通知卡片",
  template_card_menu_event: "点了卡片菜单",
  enter_agent: "打开应用",
  subscribe: "关注应用",
  unsubscribe: "取消关注应用",
  click: "点了应用菜单",
  view: "打开菜单网页",
  LOCATION: "上报位置",
};
function calledAs(xml) {
  const field = (name) => (new RegExp(`<${name}><!\\[CDATA\\[(\\w+)`).exec(xml) || [])[1] || "";
  const [event, change] = [field("Event"), field("ChangeType")];
  return [EVENTS[change] || EVENTS[`${event} ${change}`] || EVENTS[event] || "事件", change || event];
}

function drawBack() {
  const now = Math.floor(state.clock.now / 60);
  show("back", [view.which, now, state.clock.is_frozen, state.deliveries, state.corps, state.corp.corp_id], () => {
    const corps = state.corps.map((one) => ({ id: one.corp_id, name: one.name }));
    const steps = [["1 小时", 3600], ["1 天", 86400], ["30 天", 30 * 86400]];
    const rows = state.deliveries.slice().reverse().map((one) => {
      const last = one.attempts[one.attempts.length - 1];
      const mark = { delivered: "good", failed: "bad", dropped: "dim", waiting: "dim" }[one.state];
      const words = { delivered: "已收下", failed: "没有收下", dropped: "丢失", waiting: "在路上" }[one.state];
      const [called, name] = calledAs(one.xml);
      return [h("span", {}, `${called} `, h("span", { className: mark }, words)), h("small", {}, `${name} · ${one.subject} · ${one.attempts.length} 次${last ? " · " + (last.status || last.error) : ""}`)];
    });
    return [
      h("h2", {}, "企业"), chooser(corps, state.corp.corp_id, "企业", (id) => { turn({ corp: id, clerk: "", customer: "", scanWhose: "" }); look(); }),
      h("h2", {}, "时间"), h("p", {}, time(state.clock.now), state.clock.is_frozen ? "（已停）" : ""),
      h("div", { className: "row" }, steps.map(([text, advance]) => act("快进 " + text, () => post("clock", { advance })))),
      h("h2", {}, "最近的回调"), h("div", { className: "log" }, list(rows, "还没有回调。")),
    ];
  });
}

// ── All of it ──
function draw() {
  if (!state) return;
  if (!state.corp.customers[view.customer]) view.customer = (customers()[0] || {}).external_userid || "";
  if (!state.corp.members[view.clerk]) view.clerk = (members()[0] || {}).userid || "";
  document.getElementById("desk").dataset.which = view.which;
  for (const tab of document.querySelectorAll("#which button")) {
    if (tab.dataset.which === view.which) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  drawCustomer();
  drawClerk();
  drawBack();
}
document.getElementById("which").addEventListener("click", (event) => {
  if (event.target.dataset.which) turn({ which: event.target.dataset.which });
});
const scanned = new URLSearchParams(location.search).get("scan");
if (scanned) history.replaceState(null, "", location.pathname);
look().then(() => scanned && state && scan(scanned));
setInterval(() => { if (!document.hidden) look(); }, FRESH);
