# A customer with slixmpp: says what comes (one JSON object a line), and sends what it is told.
#   xmpp.py JID PASSWORD HOST:PORT CA-FILE
import asyncio, json, logging, sys
from urllib import request
from slixmpp import ClientXMPP
from slixmpp.xmlstream import ET

jid, password, addr, ca = sys.argv[1:5]
host, port = addr.rsplit(':', 1)


def say(**o):
    print(json.dumps(o), flush=True)


class Customer(ClientXMPP):
    def __init__(self):
        super().__init__(jid + '/telefon', password)
        self.ca_certs = ca
        for p in ('xep_0030', 'xep_0066', 'xep_0184', 'xep_0199', 'xep_0308', 'xep_0333', 'xep_0444'):
            self.register_plugin(p)
        self.add_event_handler('session_start', self.start)
        self.add_event_handler('message', self.come)
        self.add_event_handler('receipt_received', lambda m: say(op='receipt', id=m['receipt']))
        self.add_event_handler('marker_displayed', lambda m: say(op='displayed', id=m['displayed']['id']))
        self.add_event_handler('presence_subscribed', lambda p: say(op='subscribed', **{'from': str(p['from'].bare)}))

    async def _pick_dns_answer(self, *_):  # the address is given: the DNS is not asked
        return None

    async def start(self, _):
        self.send_presence()
        say(op='online')

    def come(self, m):
        if m['type'] == 'error':
            return say(op='error', id=m['id'], condition=m['error']['condition'])
        if m['body']:
            reply = m.xml.find('{urn:xmpp:reply:0}reply')
            say(op='message', id=m['id'], body=m['body'], url=m['oob']['url'] or '', reply=reply.get('id') if reply is not None else '', **{'from': str(m['from'].bare)})

    async def do(self, o):
        to = o['to']
        if o['op'] == 'subscribe':
            return self.send_presence(pto=to, ptype='subscribe')
        if o['op'] == 'upload':
            content = o['content'].encode()
            q = self.make_iq_get(ito='upload.muster.example')
            r = ET.SubElement(q.xml, '{urn:xmpp:http:upload:0}request')
            for k, v in {'filename': o['name'], 'size': str(len(content)), 'content-type': 'image/png'}.items():
                r.set(k, v)
            slot = (await q.send()).xml[0]
            put, get = slot.find('{*}put'), slot.find('{*}get')
            headers = {h.get('name'): h.text for h in put} | {'Content-Type': 'image/png'}
            request.urlopen(request.Request(put.get('url'), content, headers, method='PUT')).close()
            url = get.get('url')
            o = {'op': 'say', 'to': to, 'id': o['id'], 'body': url, 'url': url}
        m = self.make_message(mto=to, mbody=o.get('body'), mtype='chat')
        m['id'] = o['id']
        if o['op'] == 'say':
            m['request_receipt'] = True
        if o.get('url'):
            m['oob']['url'] = o['url']
        if o.get('replace'):
            m['replace']['id'] = o['replace']
        if o.get('reply'):
            r = ET.SubElement(m.xml, '{urn:xmpp:reply:0}reply')
            r.set('id', o['reply'])
            r.set('to', to)
        if o['op'] == 'react':
            self['xep_0444'].set_reactions(m, o['ref'], o['list'])
        if o['op'] == 'displayed':
            m['displayed']['id'] = o['ref']
        m.send()
        say(op='done', id=o['id'])


async def main():
    c = Customer()
    c.connect((host, int(port)))
    reader = asyncio.StreamReader()
    await asyncio.get_event_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            await c.do(json.loads(line))
        except Exception as e:
            say(op='failed', id=json.loads(line).get('id'), body=repr(e))
    await c.disconnect(wait=1)


logging.disable(logging.ERROR)
asyncio.get_event_loop().run_until_complete(main())
