// Command dkvsrv is the server: it turns flags and a config file into options, opens
// the node, serves clients, and stops in order.
//
//	dkvsrv [path/to/dkv.conf] [-name value]...
//
// All parameters, their defaults and meaning: dkvsrv -help, and
// docs/configuration.md.
//
// Standard output has the log, standard error what kept the server from
// starting. The exit status is 0 after an orderly stop, 1 after a failure and 2
// for a bad flag or config file.
package main
