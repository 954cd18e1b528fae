package fetch

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// reserved4 is what is not reachable in public, from the IANA IPv4 Special-Purpose Address Registry (RFC 6890), plus
// multicast and one metadata service in public address space.
var reserved4 = prefixes(
	"0.0.0.0/8",        // this network; 0.0.0.0 reaches the host itself
	"10.0.0.0/8",       // private, RFC 1918
	"100.64.0.0/10",    // shared (CGNAT), RFC 6598; Alibaba's metadata at 100.100.100.200
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's platform service
	"169.254.0.0/16",   // link-local; the metadata services of most clouds
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // IETF protocol assignments; Oracle's metadata at 192.0.0.192
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relay, RFC 7526
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarking
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved and broadcast
)

// reserved6 is what is not public inside the global unicast block 2000::/3; outside it only NAT64 is looked into.
var reserved6 = prefixes(
	"2001::/23",     // IETF protocol assignments: Teredo, ORCHID, benchmarking
	"2001:db8::/32", // documentation
	"3fff::/20",     // documentation, RFC 9637
)

var (
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052; the local-use 64:ff9b:1::/48 (RFC 8215) is refused
	sixTo4  = netip.MustParsePrefix("2002::/16")    // RFC 3056: the IPv4 address stands in bytes 2 to 5
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Public reports whether an address may be reached by a Guard of zero Options: it is a unicast address of the public
// internet, and so is the IPv4 address inside it (IPv4-mapped, NAT64, 6to4, ISATAP).
func Public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if a.Is4() {
		return !within(a, reserved4)
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return Public(netip.AddrFrom4([4]byte(b[12:16])))
	case !global6.Contains(a) || within(a, reserved6):
		return false
	case sixTo4.Contains(a) && !Public(netip.AddrFrom4([4]byte(b[2:6]))):
		return false
	case (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214 §6.1
		return Public(netip.AddrFrom4([4]byte(b[12:16])))
	}
	return true
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// permit is asked by the dialer about every resolved address, right before connect(2).
func (g *Guard) permit(network, address string) error {
	if g.options.AllowPrivate {
		return nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s %s: %w", network, address, ErrForbidden)
	}
	if Public(ap.Addr()) || within(ap.Addr().Unmap(), g.options.Allow) {
		return nil
	}
	return fmt.Errorf("%s: %w", ap.Addr(), ErrForbidden)
}

// permitURL looks at what can be seen without resolving. The decisive look is permit's; this one gives the clearer
// message, does not leave odd spellings to the resolver's taste, and is all there is before a proxy.
func (g *Guard) permitURL(ctx context.Context, u *url.URL) error {
	if s := strings.ToLower(u.Scheme); s != "http" && s != "https" {
		return fmt.Errorf("scheme %q: %w", u.Scheme, ErrForbidden)
	}
	host := u.Hostname()
	if host == "" {
		return fmt.Errorf("no host: %w", ErrForbidden)
	}
	if g.options.AllowPrivate {
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if Public(a) || within(a.Unmap(), g.options.Allow) {
			return nil
		}
		return fmt.Errorf("%s: %w", a, ErrForbidden)
	}
	if numeric(host) {
		return fmt.Errorf("%s is an odd spelling of an IP address: %w", host, ErrForbidden)
	}
	if g.options.Proxy == nil {
		return nil
	}
	// The proxy resolves the name. What we can resolve ourselves we look at; what we cannot is the proxy's matter.
	if name := strings.TrimSuffix(strings.ToLower(host), "."); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return fmt.Errorf("%s: %w", host, ErrForbidden)
	}
	resolver := g.options.Resolver // a nil *net.Resolver is the system's
	addrs, _ := resolver.LookupNetIP(ctx, "ip", host)
	for _, a := range addrs {
		if !Public(a) && !within(a.Unmap(), g.options.Allow) {
			return fmt.Errorf("%s is %s: %w", host, a, ErrForbidden)
		}
	}
	return nil
}

// numeric reports whether a host is what the WHATWG URL Standard calls "ends in a number": browsers and some
// resolvers read "2130706433", "0x7f.1" and "017700000001" as IPv4 addresses. netip has read the plain form before.
func numeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if last == "" {
		return true
	}
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		_, err := strconv.ParseUint(hex, 16, 64)
		return hex == "" || err == nil
	}
	return strings.Trim(last, "0123456789") == ""
}
