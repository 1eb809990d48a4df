/* Stands for v4l2loopback in tests, by LD_PRELOAD: what is written to /dev/video99 is appended to the
   file that FAKE_V4L2 names, and each format that is set to that file's name and ".formats". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int device = -1;

static int open_any(const char *path, int flags, mode_t mode) {
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    if (strcmp(path, "/dev/video99") != 0)
        return real(path, flags, mode);
    return device = real(getenv("FAKE_V4L2"), flags | O_CREAT | O_APPEND, 0600);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return open_any(path, flags, mode);
}

int ioctl(int descriptor, unsigned long request, ...) {
    int (*real)(int, unsigned long, void *) = dlsym(RTLD_NEXT, "ioctl");
    va_list more;
    va_start(more, request);
    void *data = va_arg(more, void *);
    va_end(more);
    if (descriptor != device)
        return real(descriptor, request, data);
    if (request == VIDIOC_QUERYCAP) {
        struct v4l2_capability *answer = data;
        answer->capabilities = V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_READWRITE;
        return 0;
    }
    if (request == VIDIOC_S_FMT) {
        struct v4l2_format *format = data;
        char name[4096];
        snprintf(name, sizeof name, "%s.formats", getenv("FAKE_V4L2"));
        FILE *file = fopen(name, "a");
        fprintf(file, "%u %ux%u %.4s %u %u\n", format->type, format->fmt.pix.width,
                format->fmt.pix.height, (char *)&format->fmt.pix.pixelformat,
                format->fmt.pix.bytesperline, format->fmt.pix.sizeimage);
        fclose(file);
        return 0;
    }
    return real(descriptor, request, data);
}
