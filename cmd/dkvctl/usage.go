package main

// usage is what -help prints.
const usage = `Usage: dkvctl [options] [verb operands | command words...]

With nothing else: a prompt on a terminal, otherwise one command a line of stdin.

Verbs
  -set KEY VALUE            -get KEY               -mget KEY...
  -del KEY...               -cas KEY EXPECTED NEW  (-cas KEY '' NEW -absent: no such key yet)
  -iter PATTERN             every key that matches, as "key => value"; "*" is all,
                            without * ? [ it is a prefix
  -addNode URL              add a node that was started with -join; waits until it has
                            caught up, with -async not
  -removeNode URL|ID        take a node out; -force: even where it may cost data
  -listNodes                -transferLeader [URL|ID]
  -import FILE              put the keys of an RDB file into the server, in place of those there
  -export FILE              write all keys to an RDB file, which a Redis server can load
                            (with -db N those of one database)
  -backup DIR               make a backup in DIR, a new folder on the server's machine
  -verify DIR               read a backup on this machine: is all of it as it was made?
  -checksum                 compare the contents of all servers of -a, nodes or replicas
  -healthcheck              exit code 0 when the server answers

Options (one dash or two)
  -a, -dkvAddr HOST:PORT    the server (127.0.0.1:6379), or the path of a unix socket;
                            several with commas: the first that answers
  -pass PASSWORD            better: the environment variable DKVCTL_AUTH
  -user NAME                with -pass
  -db N                     database (0)
  -raw, -no-raw, -json      output: as is, as on a terminal, JSON
                            (on a terminal -no-raw, else -raw)
  -x                        the last argument comes from stdin; stands before the verb
  -2, -3                    RESP version (2; 3 with -json)
  -tls                      TLS; also by -cacert FILE, -cert FILE -key FILE, -sni NAME,
                            -insecure (any certificate will do)
  -timeout D                limit for connecting (5s)
  -version, -help

Exit codes
  0 done   1 the server answered with an error   2 usage
  3 no connection, or lost before the reply: the command may have been executed
  4 -get: no such key; -cas: another value stood there
  5 UNCERTAIN: the write may or may not have happened
`
