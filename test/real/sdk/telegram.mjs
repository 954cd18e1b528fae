// grammY, a framework for Telegram bots that many use.
import { Bot, GrammyError, InlineKeyboard, InputFile, webhookCallback } from "grammy";
import { serve } from "./lines.mjs";

let bot, hook, heard;

await serve({
  open: async ({ base, token, secret }) => {
    bot = new Bot(token, { client: { apiRoot: base } });
    await bot.init();
    bot.on("message:text", (c) => void heard.push({ kind: "message", text: c.msg.text, from: c.from.id, name: c.from.first_name }));
    bot.on("message:photo", (c) => void heard.push({ kind: "photo", text: c.msg.caption, from: c.from.id, file: c.msg.photo.at(-1).file_id }));
    bot.on("callback_query:data", async (c) => {
      heard.push({ kind: "press", text: c.callbackQuery.data, from: c.from.id });
      await c.answerCallbackQuery();
    });
    bot.on("message_reaction", (c) => void heard.push({ kind: "reaction", text: c.reactions().emojiAdded.join(""), from: c.from.id }));
    bot.on("edited_message:text", (c) => void heard.push({ kind: "edit", text: c.msg.text, from: c.from.id }));
    hook = webhookCallback(bot, "std/http", { secretToken: secret });
    return bot.botInfo.username;
  },
  webhook: ({ url, secret, kinds }) => bot.api.setWebhook(url, { secret_token: secret, allowed_updates: kinds }),
  // event is what a grammY bot hears of a webhook, and how it answers.
  event: async ({ body, secret }) => {
    heard = [];
    const answer = await hook(new Request("https://bot.example/", { method: "POST", body, headers: { "x-telegram-bot-api-secret-token": secret, "content-type": "application/json" } }));
    return { status: answer.status, heard };
  },
  send: async ({ to, text, buttons, reply }) => {
    const keyboard = new InlineKeyboard();
    for (const b of buttons ?? []) keyboard.text(b, "data:" + b).row();
    try {
      return (await bot.api.sendMessage(to, text, { reply_markup: buttons && keyboard, reply_parameters: reply && { message_id: reply } })).message_id;
    } catch (e) {
      if (e instanceof GrammyError) throw new Error(`${e.error_code} ${e.description}`);
      throw e;
    }
  },
  document: async ({ to, name, content, caption }) => (await bot.api.sendDocument(to, new InputFile(Buffer.from(content), name), { caption })).document.file_name,
  file: async ({ id, base, token }) => {
    const f = await bot.api.getFile(id);
    return await (await fetch(`${base}/file/bot${token}/${f.file_path}`)).text();
  },
});
