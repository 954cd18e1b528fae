package dialog

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of dialogs, for editors. Load is held to it by tests.
func Schema() []byte { return schema }
