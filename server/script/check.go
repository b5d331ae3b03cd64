package script

import (
	"fmt"
	"strings"

	"dkv/engine/keyspace"
)

// Libraries returns the source texts of a shard's libraries of functions, by name.
func Libraries(tx *keyspace.Tx) (codes []string, err error) {
	libs, err := readLibraries(tx)
	for i := range libs {
		codes = append(codes, libs[i].code)
	}
	return codes, err
}

// Check says why libraries of functions, given by their source texts, cannot be there
// together; nil: they can.
func (e *Engine) Check(codes []string) error {
	total := 0
	libraries, functions := make(map[string]bool), make(map[string]bool)
	for _, code := range codes {
		if total += len(code); total > maxLibraryBytes {
			return errTooManyLibBytes
		}
		lib, err := e.register(newState(true), code)
		if err != nil {
			name, _, _ := metadata(code)
			return fmt.Errorf("library %.60q: %w", name, err)
		}
		if libraries[lib.name] {
			return fmt.Errorf("library %.60q twice", lib.name)
		}
		libraries[lib.name] = true
		for i := range lib.functions {
			name := strings.ToLower(lib.functions[i].name)
			if functions[name] {
				return fmt.Errorf("function %.60q twice", name)
			}
			functions[name] = true
		}
	}
	return nil
}
