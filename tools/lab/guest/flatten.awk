# JSON on stdin, a shell's assignment for each value on stdout: a_0_b='value' (BusyBox awk).
function skip() { while (substr(s, i, 1) ~ /[ \t\n]/) i++ }

function text(    r, c) {
    r = ""
    for (i++; (c = substr(s, i, 1)) != "\""; i++) {
        if (c == "\\") c = substr(s, ++i, 1)
        r = r c
    }
    i++
    return r
}

function member(path, key) {
    gsub(/[^A-Za-z0-9]/, "_", key)
    return path == "" ? key : path "_" key
}

function assign(path, value) {
    gsub(/\047/, "", value) # no value of a network has a quote
    print path "=\047" value "\047"
}

function value(path,    c, key, n) {
    skip()
    c = substr(s, i, 1)
    if (c == "\"") {
        assign(path, text())
    } else if (c == "{" || c == "[") {
        i++
        skip()
        if (substr(s, i, 1) ~ /[]}]/) { i++; return }
        n = 0
        do {
            skip()
            if (c == "{") { key = text(); skip(); i++ } else key = n++
            value(member(path, key))
            skip()
        } while (substr(s, i++, 1) == ",")
    } else {
        key = ""
        while (i <= length(s) && (c = substr(s, i, 1)) !~ /[],} \t\n]/) { key = key c; i++ }
        assign(path, key)
    }
}

{ s = s $0 }
END { i = 1; value("") }
