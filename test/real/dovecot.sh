#!/bin/sh
# A dovecot of its own in DIR, in the foreground: IMAP on 127.0.0.1:PORT (STARTTLS) and 127.0.0.1:SECURE (TLS), with the
# Maildirs below MAIL, which belong to OWNER. The system's /etc/dovecot is neither read nor changed. Runs as root, as
# dovecot does.
#   dovecot.sh DIR PORT SECURE MAIL OWNER ADDRESS PASSWORD
set -eu
dir=$1 port=$2 secure=$3 mail=$4 owner=$5 address=$6 password=$7
PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ "$(id -u)" = 0 ] || { echo "dovecot must be started as root" >&2; exit 1; }
umask 022
mkdir -p "$dir/run" "$dir/state" "$dir/log"
[ -s "$dir/key.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=imap.customer.example \
  -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/log/openssl" || { cat "$dir/log/openssl" >&2; exit 1; }
printf '%s:{PLAIN}%s\n' "$address" "$password" >"$dir/users"
chmod 644 "$dir/users"
uid=$(id -u "$owner") gid=$(id -g "$owner")
cat >"$dir/dovecot.conf" <<CF
base_dir = $dir/run
state_dir = $dir/state
instance_name = rufweite-test
log_path = $dir/log/dovecot
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <$dir/cert.pem
ssl_key = <$dir/key.pem
ssl_dh =
disable_plaintext_auth = yes
auth_mechanisms = plain login
mail_location = maildir:$mail/%n
first_valid_uid = 0
last_valid_uid = 0
first_valid_gid = 0
mail_privileged_group =
default_internal_user = dovecot
default_login_user = dovenull
passdb {
  driver = passwd-file
  args = $dir/users
}
userdb {
  driver = static
  args = uid=$uid gid=$gid home=$mail/%n
}
service imap-login {
  chroot =
  inet_listener imap {
    port = $port
  }
  inet_listener imaps {
    port = $secure
    ssl = yes
  }
}
namespace inbox {
  inbox = yes
}
CF
exec /usr/sbin/dovecot -F -c "$dir/dovecot.conf"
