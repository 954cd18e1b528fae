// Microsoft's Bot Framework SDK, which is archived but still what bots in Teams are made of.
import botbuilder from "botbuilder";
import connector from "botframework-connector";
import { serve } from "./lines.mjs";

const { CardFactory, CloudAdapter, ConfigurationBotFrameworkAuthentication, MessageFactory, TurnContext } = botbuilder;
let adapter;

await serve({
  open: ({ base, app, password, tenant }) => {
    adapter = new CloudAdapter(
      new ConfigurationBotFrameworkAuthentication({
        MicrosoftAppId: app,
        MicrosoftAppPassword: password,
        MicrosoftAppType: "SingleTenant",
        MicrosoftAppTenantId: tenant,
        // The SDK uses an address of one's own only if all of them are given.
        ToChannelFromBotLoginUrl: base + "/" + tenant,
        ToChannelFromBotOAuthScope: "https://api.botframework.com",
        ToBotFromChannelTokenIssuer: "https://api.botframework.com",
        OAuthUrl: base + "/oauth",
        ToBotFromChannelOpenIdMetadataUrl: base + "/v1/.well-known/openidconfiguration",
        ToBotFromEmulatorOpenIdMetadataUrl: base + "/v1/.well-known/openidconfiguration",
      }),
    );
    adapter.onTurnError = async (_, e) => { throw e; };
  },
  // event is what a bot on the SDK hears of a webhook whose token it has checked.
  event: async ({ body, authorization }) => {
    let heard = null, status = 200;
    const answer = { socket: {}, end() {}, header() {}, send() {}, status: (code) => (status = code) };
    try {
      await adapter.process({ body: JSON.parse(body), headers: { authorization }, method: "POST" }, answer, async (turn) => {
        const a = turn.activity;
        heard = { kind: a.type, text: a.text, user: a.from.id, name: a.from.name, value: a.value, chat: TurnContext.getConversationReference(a).conversation.id, service: a.serviceUrl };
      });
    } catch (e) {
      return { status, error: String(e.message), heard };
    }
    return { status, heard };
  },
  send: async ({ service, token, chat, text, card }) => {
    const credentials = { signRequest: async (r) => (r.headers.set("Authorization", "Bearer " + token), r) };
    const client = new connector.ConnectorClient(credentials, { baseUri: service });
    const activity = card ? MessageFactory.attachment(CardFactory.adaptiveCard(card)) : { ...MessageFactory.text(text), textFormat: "plain" };
    return (await client.conversations.sendToConversation(chat, activity)).id;
  },
});
