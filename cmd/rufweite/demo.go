package main

import "errors"

type demoCmd struct{}

// Run implements kong's command.
func (*demoCmd) Run() error { return errors.New("not yet") }
