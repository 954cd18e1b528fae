package main

import "errors"

type benchCmd struct{}

// Run implements kong's command.
func (*benchCmd) Run() error { return errors.New("not yet") }
