// The official SDK of Slack: Bolt, and the Web API client that it brings.
import bolt from "@slack/bolt";
import { serve } from "./lines.mjs";

const { App, verifySlackRequest } = bolt;
let app, heard;

const silent = { debug() {}, info() {}, warn() {}, error: console.error, setLevel() {}, getLevel: () => "error", setName() {} };

await serve({
  valid: ({ secret, body, signature, timestamp, now }) => {
    try {
      verifySlackRequest({ signingSecret: secret, body, headers: { "x-slack-signature": signature, "x-slack-request-timestamp": timestamp }, nowMilliseconds: now });
      return true;
    } catch {
      return false;
    }
  },
  open: ({ base, token }) => {
    app = new App({ token, logger: silent, clientOptions: { slackApiUrl: base + "/", retryConfig: { retries: 0 } }, receiver: { init() {}, start: async () => {}, stop: async () => {} } });
    app.message(async ({ message }) => void heard.push({ kind: "message", text: message.text, user: message.user, files: message.files?.map((f) => f.name) }));
    app.event("reaction_added", async ({ event }) => void heard.push({ kind: "reaction", text: event.reaction, user: event.user }));
    app.action(/.*/, async ({ action, body, ack }) => {
      await ack();
      heard.push({ kind: "action", text: action.text.text, value: action.value, user: body.user.id });
    });
  },
  // event is what a Bolt app hears of a webhook.
  event: async ({ body, form }) => {
    heard = [];
    await app.processEvent({ body: JSON.parse(form ? new URLSearchParams(body).get("payload") : body), ack: async () => {} });
    return heard;
  },
  test: () => app.client.auth.test(),
  room: async ({ user }) => (await app.client.conversations.open({ users: user })).channel.id,
  post: async ({ message }) => {
    const { ok, ts, channel } = await app.client.chat.postMessage(message);
    return { ok, ts, channel };
  },
  upload: async ({ channel, name, content, text }) => (await app.client.filesUploadV2({ channel_id: channel, filename: name, file: Buffer.from(content), initial_comment: text })).ok,
});
