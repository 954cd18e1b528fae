// The official SDK of Viber. Its client takes another address than Viber's only from inside.
import { createRequire } from "node:module";
import { serve } from "./lines.mjs";

const require = createRequire(import.meta.url);
const { Bot, Message, UserProfile } = require("viber-bot");
const Client = require("viber-bot/lib/viber-client");
const Validator = require("viber-bot/lib/message/message-validator");
const silent = require("viber-bot/lib/noop-logger");

let bot;

await serve({
  sign: ({ token, body }) => new Validator(silent, token)._calculateHmacFromMessage(body),
  valid: ({ token, body, signature }) => new Validator(silent, token).validateMessage(signature, body),
  open: ({ base, token, name }) => {
    bot = new Bot({ authToken: token, name, avatar: "https://example.org/face.png" });
    bot._client = new Client(silent, bot, base + "/pa", ["delivered", "seen", "failed", "subscribed", "unsubscribed", "conversation_started"]);
  },
  webhook: ({ url }) => bot._client.setWebhook(url, false),
  profile: () => bot.getBotProfile(),
  // event is what a bot on the SDK hears of a callback.
  event: ({ body }) =>
    new Promise((resolve, reject) => {
      for (const name of ["message", "subscribed", "unsubscribed", "conversation_started", "delivered", "seen"]) bot.removeAllListeners(name);
      bot.on("message", (m, r) => resolve({ kind: "message", text: m.text ?? m.url, user: r.userProfile.id, name: r.userProfile.name, token: String(m.token), type: m.constructor.getType() }));
      bot.on("subscribed", (r) => resolve({ kind: "subscribed", user: r.userProfile.id }));
      bot.on("unsubscribed", (id) => resolve({ kind: "unsubscribed", user: id }));
      bot.on("conversation_started", (user, subscribed, context) => resolve({ kind: "conversation_started", user: user.userProfile?.id ?? user.id, text: context }));
      for (const kind of ["delivered", "seen"]) bot.on(kind, (e) => resolve({ kind, user: e.user_id, token: String(e.message_token) }));
      setTimeout(() => reject(new Error("the SDK heard nothing")), 5000).unref();
      bot._middleware.getStream().push(body);
    }),
  send: async ({ to, text, labels }) => {
    const keyboard = labels && { Type: "keyboard", Buttons: labels.map((l) => ({ Columns: 6, Rows: 1, ActionType: "reply", ActionBody: "data:" + l, Text: l })) };
    const tokens = await bot.sendMessage(new UserProfile(to, "Erika"), [new Message.Text(text, keyboard)]);
    return String(tokens[0]);
  },
});
