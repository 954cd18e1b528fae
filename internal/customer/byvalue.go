package customer

import (
	"cmp"
	"context"
	"fmt"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// AddressByValue reads the address of this kind with this value, whoever it belongs to; ErrNotFound if nobody has it.
func AddressByValue(ctx context.Context, q db.Querier, kind channel.Kind, value string) (Address, error) {
	rows, err := q.Query(ctx, `SELECT `+addressColumns+` FROM address WHERE org = $1 AND kind = $2 AND value = $3`, string(kind), Normalise(kind, value))
	if err != nil {
		return Address{}, fmt.Errorf("read address: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return Address{}, cmp.Or(rows.Err(), ErrNotFound)
	}
	return scanAddress(rows)
}
