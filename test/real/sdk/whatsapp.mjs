// whatsapp-api-js, a client of the WhatsApp Cloud API by other people: Meta's own SDK for Node.js is archived.
import { WhatsAppAPI } from "whatsapp-api-js";
import { ActionButtons, ActionList, Body, BodyComponent, BodyParameter, Button, Image, Interactive, ListSection, Row, Template, Text } from "whatsapp-api-js/messages";
import { serve } from "./lines.mjs";

let api, number, base, heard;

await serve({
  open: (o) => {
    ({ number, base } = o);
    const there = (url, options) => fetch(String(url).replace("https://graph.facebook.com", base), options);
    api = new WhatsAppAPI({ token: o.token, appSecret: o.secret, webhookVerifyToken: o.verify, v: "v25.0", ponyfill: { fetch: there } });
    api.on.message = ({ from, name, message }) => void heard.push({ kind: message.type, from, name, message });
    api.on.status = ({ phone, status, id, error }) => void heard.push({ kind: "status", from: phone, text: status, id, error });
  },
  challenge: ({ params }) => api.get(params),
  valid: ({ body, signature }) => api.verifyRequestSignature(body, signature),
  // event is what a program on the client hears of a webhook.
  event: async ({ body, signature }) => {
    heard = [];
    await api.post(JSON.parse(body), body, signature);
    return heard;
  },
  text: ({ to, text, context, callback }) => api.sendMessage(number, to, new Text(text), context, callback),
  buttons: ({ to, text, labels }) => api.sendMessage(number, to, new Interactive(new ActionButtons(...labels.map((l, i) => new Button("b" + i, l))), new Body(text))),
  list: ({ to, text, menu, labels }) => api.sendMessage(number, to, new Interactive(new ActionList(menu, new ListSection(undefined, ...labels.map((l, i) => new Row("r" + i, l, "Zeile " + (i + 1))))), new Body(text))),
  template: ({ to, name, language, values }) => api.sendMessage(number, to, new Template(name, language, new BodyComponent(...values.map((v) => new BodyParameter(v))))),
  image: async ({ to, content, caption }) => {
    const form = new FormData();
    form.append("file", new Blob([Buffer.from(content, "base64")], { type: "image/png" }), "bild.png");
    const { id } = await api.uploadMedia(number, form);
    return api.sendMessage(number, to, new Image(id, true, caption));
  },
  media: async ({ id }) => {
    const { url, mime_type } = await api.retrieveMedia(id);
    const there = await api.fetchMedia(url);
    return { type: mime_type, content: Buffer.from(await there.arrayBuffer()).toString("base64") };
  },
});
