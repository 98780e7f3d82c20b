package auth

import (
	"net/http"
	"net/netip"
	"time"
)

// Failed logins per minute. The overall bound also bounds how many addresses are remembered.
const (
	attemptsPerAddress = 10
	attemptsOverall    = 600
)

// attempts count failed logins.
type attempts struct {
	all       bucket
	byAddress map[string]*bucket
}

// take counts an attempt in, or says why not.
func (a *attempts) take(now time.Time, address string) error {
	b := a.byAddress[address]
	if b == nil {
		b = &bucket{}
	}
	b.fill(now, attemptsPerAddress)
	a.all.fill(now, attemptsOverall)
	if wait := max(b.lacks(1, attemptsPerAddress), a.all.lacks(1, attemptsOverall)); wait > 0 {
		return tooMany(wait, "there were too many failed logins")
	}
	if len(a.byAddress) >= 2*attemptsOverall { // those that failed within the last minute are fewer
		for other, b := range a.byAddress {
			if b.fill(now, attemptsPerAddress); b.spent == 0 {
				delete(a.byAddress, other)
			}
		}
	}
	a.byAddress[address] = b
	b.spent++
	a.all.spent++
	return nil
}

// refund takes the attempt back that was counted in just now.
func (a *attempts) refund(address string) {
	b := a.byAddress[address]
	b.spent--
	a.all.spent--
	if b.spent <= 0 {
		delete(a.byAddress, address)
	}
}

// address returns what login attempts are counted by: the client's IP address, for IPv6 its /64, which one customer has whole.
func address(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
