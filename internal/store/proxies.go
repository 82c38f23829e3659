package store

import (
	"context"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

const proxyColumns = `name, addr, egress, pin, host_key, seen`

func scanProxy(r scanner) (p Proxy, err error) {
	err = r.Scan(&p.Name, &p.Addr, fromJSON[[]string]{&p.Egress}, &p.Pin, &p.HostKey, &p.Seen)
	return p, err
}

// ProxyByPin returns the proxy that has the TLS key with that SHA-256, or
// not_enrolled.
func (s *Store) ProxyByPin(ctx context.Context, pin []byte) (Proxy, error) {
	const query = `SELECT ` + proxyColumns + ` FROM proxies WHERE pin = $1`
	return one(ctx, s, scanProxy, notEnrolled(), query, pin)
}

// Proxies lists all proxies by name.
func (s *Store) Proxies(ctx context.Context) ([]Proxy, error) {
	const query = `SELECT ` + proxyColumns + ` FROM proxies ORDER BY name`
	return all(ctx, s, scanProxy, query)
}

// putProxy writes the whole row of p, in place of the one with the same key,
// which it returns. A name that another key holds is refused.
func putProxy(t *tx, p Proxy) (old Proxy, err error) {
	const removeOld = `DELETE FROM proxies WHERE pin = $1 RETURNING ` + proxyColumns
	_, err = t.row(func(r scanner) (err error) { old, err = scanProxy(r); return err }, removeOld, p.Pin)
	if err != nil {
		return old, err
	}
	const insert = `INSERT INTO proxies (` + proxyColumns + `) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name) DO NOTHING`
	n, err := t.exec(insert, p.Name, p.Addr, toJSON(p.Egress), p.Pin, p.HostKey, p.Seen)
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, fault.NodeNameTaken, "there is a proxy %s already", p.Name).
			Then("choose another name")
	}
	return old, err
}
