// The official SDK of Twilio.
import twilio from "twilio";
import { getExpectedTwilioSignature } from "twilio/lib/webhooks/webhooks.js";
import { serve } from "./lines.mjs";

class Here extends twilio.RequestClient {
  constructor(base) {
    super();
    this.base = base;
  }
  request(o) {
    return super.request({ ...o, uri: o.uri.replace("https://api.twilio.com", this.base) });
  }
}

let client;
const message = (m) => ({ sid: m.sid, status: m.status, from: m.from, to: m.to, body: m.body, segments: m.numSegments });

await serve({
  sign: ({ token, url, params }) => getExpectedTwilioSignature(token, url, params),
  valid: ({ token, url, params, signature }) => twilio.validateRequest(token, signature, url, params),
  empty: () => new twilio.twiml.MessagingResponse().toString(),
  open: ({ base, sid, token }) => void (client = twilio(sid, token, { httpClient: new Here(base) })),
  send: async (o) => message(await client.messages.create(o.message)),
  list: async (o) => (await client.messages.list(o.filter)).map(message),
  fetch: async ({ sid }) => message(await client.messages(sid).fetch()),
});
