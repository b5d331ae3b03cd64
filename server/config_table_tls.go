package server

// tlsTableParams are TLS with clients, and of a replica with its source. Between the nodes of
// a cluster there is TLS of its own, see peer-tls-cert-file.
func tlsTableParams() []*param {
	const imm, unbuilt = paramImmutable, paramUnbuilt
	const none = "Go's TLS library decides it."
	tls := func(k kind, name, def string, flags paramFlags, doc string) *param {
		return &param{name: name, kind: k, def: def, flags: flags, group: groupTLS, doc: doc}
	}
	return []*param{
		tls(kindInt, "tls-port", "0", imm, "Port for TLS clients, on the addresses of bind; 0: none. With port 0 there is no other.").bounds(0, 65535),
		tls(kindString, "tls-cert-file", "", 0, "Certificate that clients are shown, PEM, with what is between it and the authority. A new one in its place is noticed."),
		tls(kindString, "tls-key-file", "", 0, "Key of tls-cert-file, PEM."),
		tls(kindString, "tls-key-file-pass", "", paramSensitive|unbuilt, "Password of the key."),
		tls(kindString, "tls-client-cert-file", "", 0, "Certificate that the source of a replica is shown; none: tls-cert-file."),
		tls(kindString, "tls-client-key-file", "", 0, "Key of tls-client-cert-file, PEM."),
		tls(kindString, "tls-client-key-file-pass", "", paramSensitive|unbuilt, "Password of the key."),
		tls(kindString, "tls-ca-cert-file", "", 0, "Certificates of the authorities that sign those of clients, and of a replica's source, PEM."),
		tls(kindString, "tls-ca-cert-dir", "", 0, "Folder of such certificates, each in a file."),
		tls(kindEnum, "tls-auth-clients", "yes", 0, "Whether clients must show a certificate, need not, or may and then a valid one.").oneOf("no", "yes", "optional"),
		tls(kindBool, "tls-replication", "no", 0, "Connect to the source of a replica by TLS; its certificate must be signed by one of the authorities, for whatever name."),
		tls(kindString, "tls-protocols", "", 0, "Versions, from TLSv1 to TLSv1.3, with blanks between; none: TLSv1.2 and TLSv1.3."),
		tls(kindString, "tls-ciphers", "", 0, "Cipher suites of TLSv1.2 by OpenSSL's names, with colons between; none: all that are secure."),
		tls(kindBool, "tls-session-caching", "yes", 0, "Clients that come again need no full handshake."),

		stored(kindString, "tls-dh-params-file", "", 0, none),
		stored(kindString, "tls-ciphersuites", "", 0, none),
		stored(kindBool, "tls-prefer-server-ciphers", "no", 0, none),
		stored(kindInt, "tls-session-cache-size", "20480", 0, none).bounds(0, maxInt32),
		stored(kindInt, "tls-session-cache-timeout", "300", 0, none).bounds(0, maxInt32),
		stored(kindBool, "tls-cluster", "no", 0, "TLS between nodes is peer-tls-cert-file and what belongs to it."),
	}
}
