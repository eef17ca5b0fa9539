# JSON on stdin, one line for each value on stdout: a.0.b=value (BusyBox awk).
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

function member(path, key) { return path == "" ? key : path "." key }

function value(path,    c, key, n) {
    skip()
    c = substr(s, i, 1)
    if (c == "\"") {
        print path "=" text()
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
        print path "=" key
    }
}

{ s = s $0 }
END { i = 1; value("") }
