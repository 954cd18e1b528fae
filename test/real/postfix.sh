#!/bin/sh
# A postfix of its own in DIR, in the foreground: takes mail on 127.0.0.1:PORT, keeps that for customer.example in
# Maildirs, hands that for broker.example to 127.0.0.1:RELAY with STARTTLS, and sends nothing elsewhere. The system's
# /etc/postfix is neither read nor changed. Runs as root, as postfix does; the mailboxes belong to OWNER.
#   postfix.sh DIR PORT RELAY OWNER
set -eu
dir=$1 port=$2 relay=$3 owner=$4
PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ "$(id -u)" = 0 ] || { echo "postfix must be started as root" >&2; exit 1; }

umask 022
mkdir -p "$dir/etc" "$dir/log" "$dir/mail" "$dir/queue/pid"
chown "$owner" "$dir/mail"
install -d -o postfix "$dir/data"
cd "$dir/queue"
for d in active bounce corrupt defer deferred flush hold incoming private saved trace; do install -d -o postfix -m 700 $d; done
install -d -o postfix -g postdrop -m 730 maildrop
install -d -o postfix -g postdrop -m 710 public

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=mx.customer.example \
  -keyout "$dir/etc/key.pem" -out "$dir/etc/cert.pem" 2>"$dir/log/openssl" || { cat "$dir/log/openssl" >&2; exit 1; }

cat >"$dir/etc/main.cf" <<CF
compatibility_level = 3.6
queue_directory = $dir/queue
data_directory = $dir/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.customer.example
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_host_lookup = native
smtpd_peername_lookup = no
disable_dns_lookups = yes
maillog_file = $dir/log/postfix
maillog_file_prefixes = $dir

virtual_mailbox_domains = customer.example
virtual_mailbox_base = $dir/mail
virtual_mailbox_maps = inline:{ anna@customer.example=anna/ }
virtual_uid_maps = static:$(id -u "$owner")
virtual_gid_maps = static:$(id -g "$owner")

relay_domains = broker.example
transport_maps = inline:{ { broker.example = smtp:[127.0.0.1]:$relay } }
recipient_delimiter = +
default_transport = error:this postfix sends nothing to the outside
smtpd_tls_security_level = may
smtpd_tls_cert_file = $dir/etc/cert.pem
smtpd_tls_key_file = $dir/etc/key.pem
smtpd_tls_received_header = yes
smtp_tls_security_level = encrypt
CF
cat >"$dir/etc/master.cf" <<CF
127.0.0.1:$port inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
smtp      unix - - n - - smtp
virtual   unix - n n - - virtual
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
proxymap  unix - - n - - proxymap
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
CF
export MAIL_CONFIG="$dir/etc" MAIL_LOGTAG=postfix
exec /usr/lib/postfix/sbin/master -c "$dir/etc" -d
