/**
 * The interface as an OpenRPC 1.3 document, made from the schemas that validate.
 *
 * @module rpc/schema/openrpc
 */
import { z } from 'zod'
import { VERSION } from '../../base/version.ts'
import { METHOD_NAMES, METHODS, type MethodName } from './methods.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

export interface ContentDescriptor {
  readonly name: string
  readonly required?: boolean
  readonly schema: JsonSchema
}

export interface OpenRpcMethod {
  readonly name: string
  readonly summary: string
  readonly paramStructure: 'by-name'
  readonly params: readonly ContentDescriptor[]
  readonly result: ContentDescriptor
  /** An extension: what a token needs. */
  readonly 'x-scope': string
}

export interface OpenRpcDocument {
  readonly openrpc: string
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly methods: readonly OpenRpcMethod[]
}

export function openRpcDocument(): OpenRpcDocument {
  return {
    openrpc: '1.3.2',
    info: {
      title: 'Megatorrent',
      version: VERSION,
      description:
        'JSON-RPC 2.0 at POST /api/rpc. Bytes and counts are integers, rates bytes a second, times milliseconds since 1970.',
    },
    methods: METHOD_NAMES.map(methodOf),
  }
}

function methodOf(name: MethodName): OpenRpcMethod {
  const { doc, scope, params, result } = METHODS[name]
  return {
    name,
    summary: doc,
    paramStructure: 'by-name',
    params: paramsOf(params),
    result: { name: 'result', schema: jsonSchema(result, 'output') },
    'x-scope': scope,
  }
}

function paramsOf(schema: z.ZodType): ContentDescriptor[] {
  const { properties = {}, required = [] } = jsonSchema(schema, 'input') as {
    readonly properties?: Readonly<Record<string, JsonSchema>>
    readonly required?: readonly string[]
  }
  return Object.entries(properties).map(([name, property]) => ({
    name,
    ...(required.includes(name) ? { required: true } : {}),
    schema: property,
  }))
}

/** Draft 7, which is what OpenRPC 1.3 means by JSON Schema. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-7', io })
  return rest
}
