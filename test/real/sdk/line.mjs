// The official SDK of LINE.
import { HTTPFetchError, messagingApi, middleware, validateSignature } from "@line/bot-sdk";
import { serve } from "./lines.mjs";

let client, blobs;

await serve({
  valid: ({ secret, body, signature }) => validateSignature(body, secret, signature),
  // events are what a program on the SDK's middleware gets.
  events: ({ secret, body, signature }) =>
    new Promise((resolve, reject) => {
      const request = { headers: { "x-line-signature": signature }, rawBody: Buffer.from(body) };
      middleware({ channelSecret: secret })(request, {}, (e) => (e ? reject(e) : resolve(request.body.events)));
    }),
  open: ({ base, token }) => {
    client = new messagingApi.MessagingApiClient({ channelAccessToken: token, baseURL: base });
    blobs = new messagingApi.MessagingApiBlobClient({ channelAccessToken: token, baseURL: base });
  },
  push: async ({ message, key }) => {
    try {
      return { status: 200, ...(await client.pushMessage(message, key)) };
    } catch (e) {
      if (!(e instanceof HTTPFetchError)) throw e;
      return { status: e.status, ...JSON.parse(e.body) };
    }
  },
  info: () => client.getBotInfo(),
  content: async ({ id }) => {
    const parts = [];
    for await (const part of await blobs.getMessageContent(id)) parts.push(part);
    return Buffer.concat(parts).toString("base64");
  },
});
