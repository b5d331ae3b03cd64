package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"dkv/cluster"
	"dkv/engine"
	"dkv/server"
)

// explain says what kept the server from starting and what to do about it.
func explain(err error, config *server.Config) string {
	folder := dataFolder(config)
	switch {
	case errors.Is(err, engine.ErrLocked):
		return fmt.Sprintf("the data folder %s is in use by another process (%v)", folder, err)
	case errors.Is(err, cluster.ErrNotEmpty):
		return fmt.Sprintf("%s: %v\nChoose another folder with -db-folder.", folder, cluster.ErrNotEmpty)
	case config.String("restore") != "" && errors.Is(err, cluster.ErrEngine):
		return fmt.Sprintf("%s\nLeave -db-engine out to take the backup's.", strings.ReplaceAll(strings.TrimPrefix(err.Error(), "cluster: "), "the folder was", "the backup was"))
	case errors.Is(err, cluster.ErrVersion), errors.Is(err, cluster.ErrEngine), errors.Is(err, cluster.ErrForeign), errors.Is(err, engine.ErrDataFormat):
		return fmt.Sprintf("cannot use the data folder: %v\nChoose another one with -db-folder.", err)
	case errors.Is(err, cluster.ErrRemoved):
		return fmt.Sprintf("%v\nThe folder is %s.", err, folder)
	case errors.Is(err, cluster.ErrShards):
		return fmt.Sprintf("%v\nLeave -shards out to take what the folder has.", err)
	case errors.Is(err, syscall.EADDRINUSE) && strings.Contains(err.Error(), "for peers"):
		return fmt.Sprintf("%v\nIs another server running there? -peer-listen chooses another address for peers.", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("%v\nIs another server running there? -listen-addr or -port chooses another address.", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("%v\nThis machine does not have that address.", err)
	case errors.Is(err, engine.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return fmt.Sprintf("no space left for the data folder %s: %v", folder, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("no permission: %s", strings.TrimPrefix(err.Error(), "cluster: "))
	}
	return strings.TrimPrefix(err.Error(), "cluster: ")
}
