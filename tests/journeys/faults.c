/* A disk that fails on demand: preloaded into a program, it lets calls on some files fail with EIO.

   The file named by FAULTS has lines such as "fdatasync /packs/": the call, and a part of the path.
   Without that file, every call works. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *call, int descriptor) {
    char name[64], path[PATH_MAX], line[PATH_MAX];
    FILE *faults = fopen(getenv("FAULTS"), "r");
    int found = 0;
    if (!faults) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    while (!found && fgets(line, sizeof line, faults)) {
        line[strcspn(line, "\n")] = 0;
        char *part = strchr(line, ' ');
        if (!part) continue;
        *part = 0;
        found = !strcmp(line, call) && strstr(path, part + 1);
    }
    fclose(faults);
    if (found) errno = EIO;
    return found;
}

#define FAILING(name, call, parameters, ...)                      \
    ssize_t name parameters {                                     \
        ssize_t (*real) parameters = dlsym(RTLD_NEXT, #name);     \
        return fails(call, descriptor) ? -1 : real(__VA_ARGS__);  \
    }

int fsync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    return fails("sync", descriptor) ? -1 : real(descriptor);
}

int fdatasync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    return fails("sync", descriptor) ? -1 : real(descriptor);
}

FAILING(write, "write", (int descriptor, const void *bytes, size_t size), descriptor, bytes, size)
FAILING(pwrite, "write", (int descriptor, const void *bytes, size_t size, off_t at), descriptor, bytes, size, at)
FAILING(pwrite64, "write", (int descriptor, const void *bytes, size_t size, off64_t at), descriptor, bytes, size, at)
