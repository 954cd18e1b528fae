//go:build tools

// Package dendrite pins the homeserver that ../matrix_test.go builds and talks to. It is a module of its own: nothing of
// it gets into the product's.
package dendrite

import _ "github.com/matrix-org/dendrite/cmd/dendrite"
